"""bench-uq baseline."""

from __future__ import annotations

from pathlib import Path

import click

from bench_uq.api.errors import UsageError
from bench_uq.cli.options import listed, results_option, suite_name, suite_option
from bench_uq.store.folders import writable


@click.command()
@suite_option
@results_option
@listed("methods", "Methods instead of all that were planned.")
@listed("datasets", "Datasets instead of all that were planned.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.csv",
    help="File to write; the environments go beside it.",
)
def baseline(
    suite: str, results: Path, methods: tuple[str, ...], datasets: tuple[str, ...], out: Path
) -> None:
    """Keep the scores of a suite, for bench-uq check to compare with."""
    from bench_uq.check.baseline import write_baseline
    from bench_uq.check.results import narrowed, read_folder
    from bench_uq.check.rule import FEWEST

    if out.suffix != ".csv":
        raise UsageError(f"--out must end in .csv, not {out.name!r}")
    writable(out.parent)
    (side,) = narrowed([read_folder(results / suite_name(suite))], methods, datasets)
    written = write_baseline(side, out)
    for place in written.holes:
        click.echo(f"left out, not finite at every seed: {place}", err=True)
    if written.seeds < FEWEST:
        click.echo(
            f"of {written.seeds} seeds: at least {FEWEST} tell a change from noise", err=True
        )
    click.echo(f"baseline of {written.runs} runs: {out}")
