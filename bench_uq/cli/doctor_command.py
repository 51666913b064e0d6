"""bench-uq doctor."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench_uq.cli.options import FAILED, data_option, results_option


@click.command()
@results_option
@data_option
def doctor(results: Path, data_dir: Path) -> None:
    """Say which packages, devices, folders, data and plugins are there, and what is wrong with them."""
    from bench_uq.cli.doctor import cannot_run, examine, text

    found = examine(results, Path("reports"), data_dir)
    click.echo(text(found))
    sys.exit(FAILED if cannot_run(found) else 0)
