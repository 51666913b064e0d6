"""bench-uq compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench_uq.cli.options import UserPath, json_option, listed, plugin_option

FORMATS = ("text", "markdown", "json")


@click.command()
@click.argument("first", type=UserPath(path_type=Path), metavar="A")
@click.argument("second", type=UserPath(path_type=Path), metavar="B")
@listed("methods", "Methods instead of all.")
@listed("datasets", "Datasets instead of all.")
@listed("metrics", "Metrics instead of those that bench-uq check compares.")
@click.option(
    "--all", "everything", is_flag=True, help="Also scores without a significant difference."
)
@plugin_option
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@json_option
def compare(
    first: Path,
    second: Path,
    everything: bool,
    form: str,
    as_json: bool,
    **chosen: tuple[Any, ...],
) -> None:
    """Compare two results side by side, paired by seed.

    A and B are folders of a suite's results, like results/quick, or baselines.
    """
    from bench_uq.check import compare as comparison

    form = "json" if as_json else form
    found = comparison.compare(first, second, everything=everything, form=form, **chosen)
    click.echo(found.text, nl=False)
