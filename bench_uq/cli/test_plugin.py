"""bench-uq test-plugin."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench_uq.cli.completion import plugin_names
from bench_uq.cli.options import FAILED, data_option, json_option, plugin_option

if TYPE_CHECKING:
    from bench_uq.testing.checks import Check, Verdict
    from bench_uq.testing.contract import Target

KINDS = ("method", "dataset", "condition", "metric", "network")

#: Lines of a reason that are shown.
REASON_LINES = 4


@click.command(name="test-plugin")
@click.argument(
    "what",
    nargs=-1,
    required=True,
    metavar="NAME|FILE.py...",
    shell_complete=plugin_names(*KINDS[:4], files=True),
)
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    help="The kind to test, if a name or a file holds several.",
)
@data_option
@plugin_option
@json_option
@click.pass_context
def test_plugin(
    context: click.Context,
    what: tuple[str, ...],
    kind: str | None,
    data_dir: Path,
    plugins: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Check the plugin contract, one line per requirement."""
    with quiet():
        from bench_uq.testing import checks_of
        from bench_uq.testing.targets import targets

        found = [(target, checks_of(target)) for target in targets(what, kind, plugins, data_dir)]

    debug = bool(context.find_root().params.get("debug"))
    if as_json:
        rows = [verdicts_of(target, checks) for target, checks in found]
        click.echo(json.dumps(rows, indent=1))
        failed = [not row["holds"] for row in rows]
    else:
        failed = [show(target, checks, debug) for target, checks in found]
    sys.exit(FAILED if any(failed) else 0)


def verdicts_of(target: Target, checks: list[tuple[Check, Sequence[Any]]]) -> dict[str, Any]:
    """The verdict on each requirement of a plugin, for programs."""
    from bench_uq.testing import run

    rows = []
    for check, subjects in checks:
        with quiet():
            verdict = run(check, subjects, target)
        rows.append(
            {
                "check": check.name,
                "requirement": check.requirement,
                "status": verdict.status,
                "reason": verdict.reason,
            }
        )
    holds = not any(row["status"] == "FAIL" for row in rows)
    return {"kind": target.kind, "name": target.name, "holds": holds, "requirements": rows}


def show(target: Target, checks: list[tuple[Check, Sequence[Any]]], debug: bool) -> bool:
    """Print each verdict on a plugin at once; tell whether any requirement is broken."""
    from bench_uq.testing import run

    click.echo(f"{target.kind} {target.name}")
    verdicts = []
    for check, subjects in checks:
        with quiet():
            verdict = run(check, subjects, target)
        verdicts.append(verdict)

        click.echo(f"  {verdict.status:7} {check.name:15} {check.requirement}")
        lines = verdict.reason.splitlines()[:REASON_LINES]
        if debug and verdict.trace:
            lines = verdict.trace.splitlines()
        if verdict.status in ("FAIL", "note"):
            click.echo("\n".join(f"{'':10}{line}" for line in lines))

    click.echo(summary(target, verdicts))
    return any(verdict.status == "FAIL" for verdict in verdicts)


def summary(target: Target, verdicts: list[Verdict]) -> str:
    """The number of requirements that hold, and which others do not, with the reason."""
    names: dict[str, list[str]] = {status: [] for status in ("ok", "note", "FAIL", "skipped")}
    for verdict in verdicts:
        names[verdict.status].append(verdict.check.name)

    # A note is a remark on a requirement that holds.
    held = len(names["ok"]) + len(names["note"])
    parts = [
        f"{len(verdicts)} requirements",
        "all hold" if held == len(verdicts) else f"{held} hold",
    ]
    if names["FAIL"]:
        parts.append(f"{len(names['FAIL'])} fail ({', '.join(names['FAIL'])})")
    if names["note"]:
        parts.append(f"{len(names['note'])} with a note")
    if names["skipped"]:
        reasons = dict.fromkeys(one.reason for one in verdicts if one.status == "skipped")
        parts.append(f"{len(names['skipped'])} skipped: {'; '.join(reasons)}")
    return f"{target.name}: {', '.join(parts)}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send the output of plugins to stderr, and write no bytecode beside their files."""
    # A plugin in a read-only folder, or in a repository, gets no __pycache__ beside it.
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.dont_write_bytecode = before
