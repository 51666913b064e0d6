"""bench-uq check."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bench_uq.cli.options import (
    UserPath,
    json_option,
    listed,
    plugin_option,
    results_option,
    suite_name,
    suite_option,
)

FORMATS = ("text", "markdown", "junit", "json")


@click.command()
@click.option(
    "--baseline",
    required=True,
    type=UserPath(path_type=Path),
    metavar="FILE.csv",
    help="Baseline written by bench-uq baseline.",
)
@suite_option
@results_option
@listed("methods", "Methods of the baseline instead of all.")
@listed("datasets", "Datasets of the baseline instead of all.")
@click.option(
    "--margins",
    type=UserPath(path_type=Path),
    metavar="FILE.toml",
    help="Your own margins and floors.",
)
@plugin_option
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@json_option
def check(
    baseline: Path,
    suite: str,
    results: Path,
    margins: Path | None,
    form: str,
    as_json: bool,
    **chosen: tuple[Any, ...],
) -> None:
    """Compare a suite's scores with a baseline, and fail if they got worse.

    Exit codes: 0 nothing got worse, 1 a score regressed or is missing, 2 a mistake in the command,
    3 inconclusive: too few seeds.
    """
    from bench_uq.check import check as gate

    folder = results / suite_name(suite)
    form = "json" if as_json else form
    verdicts = gate.check(folder, baseline, margins, suite=suite, form=form, **chosen)
    click.echo(verdicts.text, nl=False)
    sys.exit(verdicts.exit_code)
