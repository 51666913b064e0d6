"""Options that several commands share."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bench_uq.cli.completion import Completer, suites

FAILED, USAGE, INTERRUPTED = 1, 2, 130


class UserPath(click.Path):
    """A path whose ~ no shell replaces, as in --results=~/here or in an environment variable."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Replace ~ by the user's folder, and check the path."""
        return super().convert(os.path.expanduser(value), param, ctx)


def commas(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    """Join repeated options, and split them at the commas outside of brackets."""
    from bench_uq.api.names import split_list

    del context, parameter
    found = list[str]()
    for text in value:
        # Options of plugins hold commas too, as in mnf[flows=2,hidden=50].
        found += split_list(text)
    return tuple(found)


def listed(name: str, help: str, complete: Completer | None = None) -> Callable[[Any], Any]:
    """Option that takes a comma list and may be repeated."""
    return click.option(
        f"--{name}",
        multiple=True,
        callback=commas,
        metavar="A,B,...",
        shell_complete=complete,
        help=help,
    )


results_option = click.option(
    "--results",
    type=UserPath(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="Root of the results.",
)
suite_option = click.option(
    "--suite",
    default="quick",
    show_default=True,
    shell_complete=suites,
    help="Name or TOML file of a suite.",
)
data_option = click.option(
    "--data-dir",
    type=UserPath(path_type=Path),
    # Data are of the machine, so its environment may name them once for all commands.
    envvar="BENCH_UQ_DATA",
    default=Path("data"),
    show_default=True,
    help="Root of the data.",
)
plugin_option = click.option(
    "--plugin",
    "plugins",
    multiple=True,
    type=UserPath(path_type=Path),
    metavar="FILE",
    help="Python file with a method, dataset, condition or metric of your own.",
)


json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON alone, for programs."
)


def with_nulls(row: dict[str, Any]) -> dict[str, Any]:
    """A row with null in place of what JSON does not know."""
    found = {}
    for name, value in row.items():
        known = not isinstance(value, float) or math.isfinite(value)
        found[name] = value if known else None
    return found


def shard_number(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    """K and N of --shard K/N."""
    from bench_uq.run.shards import read_shard

    del context, parameter
    if value is None:
        return None
    return read_shard(value)


shard_option = click.option(
    "--shard",
    callback=shard_number,
    metavar="K/N",
    help="Do the K-th of N parts of the runs, for arrays of jobs; bench-uq merge joins them.",
)
_FILE = UserPath(path_type=Path)
#: Where runs of dask go, and how its traffic is protected.
_OF_CLUSTERS = (
    click.option(
        "--cluster",
        metavar="ADDRESS|local[:N]|FILE.json",
        help="Run on workers of dask: a scheduler's address or file, or N workers started here.",
    ),
    click.option("--tls-ca", type=_FILE, metavar="FILE", help="Of a scheduler at tls://..."),
    click.option("--tls-cert", type=_FILE, metavar="FILE", help="Your own certificate."),
    click.option("--tls-key", type=_FILE, metavar="FILE", help="Its key."),
    click.option(
        "--insecure", is_flag=True, help="Join a cluster that other machines can reach without TLS."
    ),
)


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --cluster and its options to a command."""
    # Options are listed in the order in which they stand above the function.
    for option in reversed(_OF_CLUSTERS):
        command = option(command)
    return command


def suite_name(suite: str) -> str:
    """Name of a suite that is given by name or file."""
    from bench_uq.api.names import check_name

    name = Path(suite).stem if suite.endswith(".toml") else suite
    check_name("suite", name)
    return name
