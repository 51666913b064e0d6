"""bench-uq score."""

from __future__ import annotations

from pathlib import Path

import click

from bench_uq.cli.options import plugin_option, results_option, suite_name, suite_option
from bench_uq.store.folders import enclosed


@click.command()
@suite_option
@results_option
@plugin_option
def score(suite: str, results: Path, plugins: tuple[Path, ...]) -> None:
    """Compute the scores of a suite anew from its stored predictions.

    Writes scores.csv, groups.csv.gz, curves.csv.gz, runs.csv, environment.json and examples.npz,
    and reference.csv with the suite's published values.
    """
    from bench_uq.plan.plugins import Plugins
    from bench_uq.plan.suite import shipped, suite_path
    from bench_uq.run.suite import read_references
    from bench_uq.score.published import hand_on
    from bench_uq.score.score import score as score_folder

    folder = enclosed(results / suite_name(suite))
    # Without the file of the suite, the published values of its last run stay.
    here = suite in shipped() or (suite.endswith(".toml") and Path(suite).is_file())
    known = Plugins(plugins)
    references = read_references(suite_path(suite), known) if here else []
    score_folder(folder, known)
    if here:
        hand_on(references, folder)
    click.echo(f"scores: {folder / 'scores.csv'}")
