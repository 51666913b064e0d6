"""bench-uq list."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bench_uq.cli.options import json_option, plugin_option


@click.command(name="list")
@click.argument(
    "what",
    type=click.Choice(
        ["methods", "datasets", "metrics", "conditions", "networks", "suites", "settings"]
    ),
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@plugin_option
@json_option
def list_(what: str, names: tuple[str, ...], plugins: tuple[Path, ...], as_json: bool) -> None:
    """List everything of a kind, or the given NAMEs, with options and references."""
    from bench_uq.cli.listing import entries, joined

    found = entries(what, names, plugins, notice=lambda text: click.echo(text, err=True))
    click.echo(json.dumps(found, indent=1) if as_json else joined(what, names, plugins, found))
