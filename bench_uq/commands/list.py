"""bench-uq list."""

from __future__ import annotations

from pathlib import Path

import click

from bench_uq.commands.options import plugin_option


@click.command(name="list")
@click.argument("what", type=click.Choice(["methods", "datasets", "metrics", "conditions", "suites"]))
@plugin_option
def list_(what: str, plugins: tuple[Path, ...]) -> None:
    """List what there is, with options and sources."""
    from bench_uq.listing import listing

    click.echo(listing(what, plugins, notice=lambda text: click.echo(text, err=True)))
