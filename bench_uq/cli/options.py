"""Options that several commands share."""

from __future__ import annotations

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


def suite_name(suite: str) -> str:
    """Name of a suite that is given by name or file."""
    from bench_uq.api.names import check_name

    name = Path(suite).stem if suite.endswith(".toml") else suite
    check_name("suite", name)
    return name
