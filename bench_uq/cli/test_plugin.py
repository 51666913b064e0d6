"""bench-uq test-plugin."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench_uq.cli.completion import plugin_names
from bench_uq.cli.options import FAILED, data_option, plugin_option

if TYPE_CHECKING:
    from bench_uq.testing import Check, Target, Verdict

KINDS = ("method", "dataset", "condition", "metric", "network")

#: A reason is for reading: what is longer is cut here.
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
    help="Where a name or a file holds several kinds, the one to test.",
)
@data_option
@plugin_option
@click.pass_context
def test_plugin(
    context: click.Context,
    what: tuple[str, ...],
    kind: str | None,
    data_dir: Path,
    plugins: tuple[Path, ...],
) -> None:
    """Test whether plugins keep the contract, a line for each promise."""
    with quiet():
        from bench_uq.testing import checks_of
        from bench_uq.testing.targets import targets

        found = [(target, checks_of(target)) for target in targets(what, kind, plugins, data_dir)]
    debug = bool(context.find_root().params.get("debug"))
    failed = [show(target, checks, debug) for target, checks in found]
    sys.exit(FAILED if any(failed) else 0)


def show(target: Target, checks: list[tuple[Check, Sequence[Any]]], debug: bool) -> bool:
    """Print the verdicts on a plugin as they come, and return whether any promise is broken."""
    from bench_uq.testing import run

    click.echo(f"{target.kind} {target.name}")
    kept = []
    for check, subjects in checks:
        with quiet():
            kept.append(run(check, subjects, target))
        click.echo(f"  {kept[-1].status:7} {check.name:15} {check.promise}")
        if kept[-1].status in ("FAIL", "note"):
            click.echo(indented(kept[-1], debug))
    click.echo(summary(target, kept))
    return any(verdict.status == "FAIL" for verdict in kept)


def indented(verdict: Verdict, debug: bool) -> str:
    """Return the reason of a verdict, or where asked for the traceback."""
    lines = (
        verdict.trace.splitlines()
        if debug and verdict.trace
        else verdict.reason.splitlines()[:REASON_LINES]
    )
    return "\n".join(f"{'':10}{line}" for line in lines)


def summary(target: Target, kept: list[Verdict]) -> str:
    """Return how many promises hold, and of the others which and why."""
    names = {
        status: [one.check.name for one in kept if one.status == status]
        for status in ("FAIL", "note", "skipped")
    }
    bad = len(names["FAIL"]) + len(names["skipped"])
    parts = [f"{len(kept)} checks", "all hold" if not bad else f"{len(kept) - bad} hold"]
    parts += [f"{len(names['FAIL'])} fail ({', '.join(names['FAIL'])})"] if names["FAIL"] else []
    parts += [f"{len(names['note'])} with a note"] if names["note"] else []
    reasons = dict.fromkeys(one.reason for one in kept if one.status == "skipped")
    parts += [f"{len(names['skipped'])} skipped: {'; '.join(reasons)}"] if reasons else []
    return f"{target.name}: {', '.join(parts)}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send what plugins print to stderr, and write no bytecode beside their files."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.dont_write_bytecode = before
