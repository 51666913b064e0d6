"""bench-uq compare."""

from __future__ import annotations

from pathlib import Path

import click

from bench_uq.cli.options import listed


@click.command()
@click.argument("first", type=click.Path(path_type=Path), metavar="A")
@click.argument("second", type=click.Path(path_type=Path), metavar="B")
@listed("methods", "Methods instead of all.")
@listed("datasets", "Datasets instead of all.")
@listed("metrics", "Metrics instead of those that bench-uq check looks at.")
@click.option(
    "--all", "everything", is_flag=True, help="Also what is equal or cannot be told apart."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    show_default=True,
)
def compare(
    first: Path, second: Path, everything: bool, form: str, **chosen: tuple[str, ...]
) -> None:
    """Show two results side by side, and what their shared seeds tell apart.

    A and B are suites' folders of results, like results/quick, or baselines.
    """
    from dataclasses import replace

    from bench_uq.check.compare import compare_sides
    from bench_uq.check.formats import FORMATS
    from bench_uq.check.results import narrowed, read_side

    one, other = narrowed(
        [read_side(first), read_side(second)], chosen["methods"], chosen["datasets"]
    )
    outcome = compare_sides(one, other, chosen["metrics"])
    outcome = replace(outcome, quiet=()) if everything else outcome
    click.echo(FORMATS[form](outcome, f"A {first}, B {second}"), nl=False)
