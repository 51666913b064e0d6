"""bench-uq list."""

from __future__ import annotations

from pathlib import Path

import click

from bench_uq.cli.options import plugin_option


@click.command(name="list")
@click.argument(
    "what",
    type=click.Choice(["methods", "datasets", "metrics", "conditions", "networks", "suites"]),
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@plugin_option
def list_(what: str, names: tuple[str, ...], plugins: tuple[Path, ...]) -> None:
    """List everything of a kind, or the given NAMEs, with options and references."""
    from bench_uq.cli.listing import listing

    click.echo(listing(what, names, plugins, notice=lambda text: click.echo(text, err=True)))
