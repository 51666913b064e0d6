"""bench-uq baseline."""

from __future__ import annotations

from pathlib import Path

import click

from bench_uq.cli.options import UserPath, listed, results_option, suite_name, suite_option


@click.command()
@suite_option
@results_option
@listed("methods", "Methods instead of all that were planned.")
@listed("datasets", "Datasets instead of all that were planned.")
@click.option(
    "--out",
    required=True,
    type=UserPath(path_type=Path, dir_okay=False),
    metavar="FILE.csv",
    help="File to write; environments are stored beside it.",
)
def baseline(
    suite: str, results: Path, methods: tuple[str, ...], datasets: tuple[str, ...], out: Path
) -> None:
    """Store a suite's scores as a baseline for bench-uq check."""
    from bench_uq.check import baseline as storing

    folder = results / suite_name(suite)
    written = storing.baseline(folder, out, methods=methods, datasets=datasets)
    for warning in written.warnings:
        click.echo(warning, err=True)
    click.echo(f"baseline of {written.runs} runs: {out}")
