"""bench-uq merge."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench_uq.cli.options import FAILED, UserPath, plugin_option, results_option
from bench_uq.store.folders import enclosed, writable


@click.command()
@click.argument("roots", nargs=-1, required=True, type=UserPath(path_type=Path), metavar="DIR...")
@results_option
@click.option("--no-score", is_flag=True, help="Leave scoring to bench-uq score.")
@plugin_option
def merge(
    roots: tuple[Path, ...], results: Path, no_score: bool, plugins: tuple[Path, ...]
) -> None:
    """Join results of several machines or jobs, such as those of bench-uq run --shard.

    Each DIR is a root of results and is not changed. A run that several hold is kept once. If two
    contradict each other, as trainings on a GPU do, that of --results stays, then that of the first
    DIR. The exit code is then 1, and also if a damaged file is not whole in any DIR.
    """
    from bench_uq.plan.plugins import Plugins
    from bench_uq.run.merge import join, sources
    from bench_uq.score.labels import counted
    from bench_uq.score.score import score
    from bench_uq.store import read_plan

    held = sources(roots, writable(results))
    # All are checked before the first is written.
    for suite in held:
        enclosed(results / suite)
    whole = True
    for suite, holders in held.items():
        joined = join(suite, holders, results, lambda text: click.echo(text, err=True))
        if not no_score and read_plan(results / suite).runs:
            score(results / suite, Plugins(plugins))
        whole &= not joined.conflicts and not joined.lost
        click.echo(
            f"{suite}: {joined.runs} runs from {counted(joined.folders, 'folder')}, "
            f"{counted(joined.conflicts, 'conflict')}, {joined.missing} missing"
        )
    if not whole:
        sys.exit(FAILED)
