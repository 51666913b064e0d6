"""bench-uq report."""

from __future__ import annotations

from pathlib import Path

import click

from bench_uq.commands.options import results_option, suite_name, suite_option
from bench_uq.folders import writable


@click.command()
@suite_option
@results_option
@click.option(
    "--reports",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports"),
    show_default=True,
    help="Root of the reports.",
)
def report(suite: str, results: Path, reports: Path) -> None:
    """Write tables, figures and a summary from the scores."""
    from bench_uq.report import write

    target = writable(reports / suite_name(suite))
    for path in write(results / suite_name(suite), target):
        if path.suffix in (".tex", ".md") or path.suffix == ".png":
            click.echo(path)
