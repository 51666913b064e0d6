"""bench-uq check."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench_uq.cli.options import listed, results_option, suite_name, suite_option

FORMATS = ("text", "markdown", "junit", "json")


@click.command()
@click.option(
    "--baseline",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="What bench-uq baseline wrote.",
)
@suite_option
@results_option
@listed("methods", "Methods of the baseline instead of all.")
@listed("datasets", "Datasets of the baseline instead of all.")
@click.option(
    "--margins",
    type=click.Path(path_type=Path),
    metavar="FILE.toml",
    help="Margins and floors of your own.",
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
def check(
    baseline: Path,
    suite: str,
    results: Path,
    margins: Path | None,
    form: str,
    **chosen: tuple[str, ...],
) -> None:
    """Compare a suite's scores with a baseline, and fail where they got worse.

    Exit codes: 0 nothing got worse, 1 a score regressed or is missing, 2 a mistake in the command, 3 the seeds cannot
    tell.
    """
    from bench_uq.check.budget import own_budget
    from bench_uq.check.formats import FORMATS as WRITERS
    from bench_uq.check.margins import check_conditions, read_margins
    from bench_uq.check.results import narrowed, read_folder, read_side
    from bench_uq.check.rule import check as verdicts

    name = suite_name(suite)
    (before,) = narrowed([read_side(baseline)], **chosen)
    allowed = read_margins(margins)
    check_conditions(allowed, before.scores["condition"].unique(), margins)
    now = read_folder(results / name)
    outcome = verdicts(before, now, allowed, own_budget(suite, now))
    click.echo(WRITERS[form](outcome, name), nl=False)
    sys.exit(outcome.exit_code)
