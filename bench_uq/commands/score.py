"""bench-uq score."""

from __future__ import annotations

from pathlib import Path

import click

from bench_uq.commands.options import results_option, suite_name, suite_option
from bench_uq.folders import writable


@click.command()
@suite_option
@results_option
def score(suite: str, results: Path) -> None:
    """Rebuild scores.csv, curves.csv, runs.csv, environment.json and examples.npz from the stored predictions."""
    from bench_uq.score import score as score_folder

    folder = writable(results / suite_name(suite))
    score_folder(folder)
    click.echo(f"scores: {folder / 'scores.csv'}")
