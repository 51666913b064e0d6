"""bench-uq export."""

from __future__ import annotations

from pathlib import Path

import click

from bench_uq.api.errors import UsageError
from bench_uq.cli.options import UserPath, results_option, suite_name, suite_option


@click.command()
@suite_option
@results_option
@click.option("--parquet", is_flag=True, help="runs.parquet and scores.parquet.")
@click.option("--mlflow", "uri", metavar="URI", help="Runs of an MLflow server, by its address.")
@click.option("--wandb-offline", "wandb", is_flag=True, help="Offline runs of Weights & Biases.")
@click.option(
    "--out",
    type=UserPath(path_type=Path, file_okay=False),
    default=Path("exports"),
    show_default=True,
    help="Root of the files that are written.",
)
def export(
    suite: str, results: Path, parquet: bool, uri: str | None, wandb: bool, out: Path
) -> None:
    """Hand a suite's runs, with settings and scores, to tools of others.

    Only --mlflow uses a network, and only to the address that it is given.
    """
    if not (parquet or uri or wandb):
        raise UsageError("say what to export to: --parquet, --mlflow URI or --wandb-offline")

    from bench_uq.report.exports import offline, tracking
    from bench_uq.report.exports import parquet as columns
    from bench_uq.store.folders import writable

    # A package that is missing is told of before anything is written.
    if parquet:
        columns.required()
    if uri:
        tracking.checked(uri)
        tracking.required()
    if wandb:
        offline.required()

    folder, target = results / suite_name(suite), writable(out / suite_name(suite))
    if parquet:
        for path in columns.write(folder, target):
            click.echo(path)
    if uri:
        click.echo(f"{uri}: {told(*tracking.send(folder, uri))}")
    if wandb:
        click.echo(f"{target / 'wandb'}: {told(*offline.write(folder, target))}")


def told(new: int, there: int) -> str:
    """How many runs were exported, and how many had been before."""
    from bench_uq.score.labels import counted

    text = counted(new, "run")
    return f"{text} exported, {there} were there" if there else f"{text} exported"
