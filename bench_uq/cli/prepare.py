"""bench-uq prepare."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from bench_uq.api.errors import UsageError
from bench_uq.cli.completion import plugin_names
from bench_uq.cli.options import INTERRUPTED, commas, data_option, plugin_option

if TYPE_CHECKING:
    from bench_uq.plan.plugins import Plugins


@click.command()
@click.argument(
    "names", nargs=-1, callback=commas, metavar="[NAME]...", shell_complete=plugin_names("dataset")
)
@data_option
@click.option(
    "--mirror",
    default="",
    metavar="URL",
    help="Fetch the files from this folder on the web instead.",
)
@plugin_option
@click.option("--dry-run", is_flag=True, help="Say what would be fetched.")
def prepare(
    names: tuple[str, ...], data_dir: Path, mirror: str, plugins: tuple[Path, ...], dry_run: bool
) -> None:
    """Fetch datasets, check and load them; without a NAME, list all datasets and their state.

    Beside --cluster and export --mlflow no other command uses the network.
    """
    from bench_uq.plan import prepare as engine
    from bench_uq.plan.plugins import Plugins

    known = Plugins(plugins)
    specs = {}
    for name in names:
        spec = known.spec("dataset", name)
        # By name, so that a dataset that is given twice is prepared once.
        specs[spec.name] = spec
    check(data_dir, mirror, names)

    if not specs:
        click.echo(overview(known, data_dir))
        return

    do = engine.foresee if dry_run else engine.prepare
    width = max(map(len, specs))
    codes = []
    try:
        for name, spec in specs.items():
            codes.append(do(spec, data_dir, mirror, partial(say, name.ljust(width))))
    except KeyboardInterrupt:
        click.echo("interrupted; what was fetched is kept, the same command goes on", err=True)
        sys.exit(INTERRUPTED)
    # A mistake of the user (2) outweighs a failed download (1).
    sys.exit(max(codes))


def say(name: str, text: str) -> None:
    """Print a line about a dataset."""
    click.echo(f"{name}  {text}")


def check(data_dir: Path, mirror: str, names: tuple[str, ...]) -> None:
    """Require a folder of data, and a web address and a dataset for a mirror."""
    if data_dir.exists() and not data_dir.is_dir():
        raise UsageError(f"--data-dir: {data_dir} is not a folder")
    if mirror and (urlsplit(mirror).scheme not in ("http", "https") or not urlsplit(mirror).netloc):
        raise UsageError(
            f"--mirror is an address that begins with http:// or https://, not {mirror!r}"
        )
    if mirror and not names:
        raise UsageError("--mirror needs the NAME of a dataset to fetch")


def overview(known: Plugins, root: Path) -> str:
    """Table of all datasets with their state, and where they lie or how to get them."""
    from bench_uq.plan.prepare.inventory import states

    found = states(known, root)
    width = max(len("dataset"), *(len(one.name) for one in found))
    rows = [f"{one.name:{width}}  {one.state:7}  {one.remark}" for one in found]
    return "\n".join([f"{'dataset':{width}}  state    where", *rows])
