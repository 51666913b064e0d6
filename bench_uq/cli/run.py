"""bench-uq run."""

from __future__ import annotations

import math
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench_uq.api.arguments import DEVICES
from bench_uq.api.errors import UsageError
from bench_uq.cli.completion import plugin_names
from bench_uq.cli.options import (
    FAILED,
    UserPath,
    cluster_options,
    data_option,
    listed,
    plugin_option,
    results_option,
    shard_option,
    suite_option,
)

if TYPE_CHECKING:
    from bench_uq.run.record import Ended
    from bench_uq.run.suite import Choices, Cluster, Prepared

METHODS = "Methods instead of the suite's: mnf,dropout[rate=0.2]"


@click.command()
@suite_option
@listed("methods", METHODS, plugin_names("method"))
@listed("datasets", "Datasets instead of the suite's.", plugin_names("dataset"))
@listed("seeds", "Seeds instead of the suite's: 0,1,2 or 0-9.")
@click.option(
    "--network",
    default="",
    metavar="NAME|FILE.py",
    help="Network instead of the task's: a name, torchvision:NAME, timm:NAME, or your own file.",
)
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Runs at a time. [default: cores / threads, 1 on a GPU]",
)
@results_option
@data_option
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting, or METHOD.option=VALUE.",
)
@plugin_option
@click.option(
    "--budget",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="SHARE",
    help="Share of the suite's epochs. At another than 1 (0.5, 2) the results lie beside those at "
    "1, whose report says what it changes.",
)
@click.option(
    "--tuned",
    is_flag=False,
    flag_value="",
    type=UserPath(path_type=Path, dir_okay=False),
    metavar="[FILE]",
    help="Run each method as bench-uq tune chose it. [default file: tuned.toml of the suite's "
    "results]",
)
@click.option(
    "--dry-run", is_flag=True, help="Print the runs, which are stored, and an estimate of the time."
)
@click.option("--force", is_flag=True, help="Repeat stored runs.")
@click.option(
    "--checkpoint-every",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Interval at which a training stores its state, after an epoch.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop a run that takes longer; it has failed and continues the next time. [default: none]",
)
@cluster_options
@click.option("--no-score", is_flag=True, help="Leave scoring to bench-uq score.")
@shard_option
def run(dry_run: bool, no_score: bool, **flags: Any) -> None:
    """Train each method on each dataset over the seeds, evaluate all conditions, score them."""
    from bench_uq.run.forkserver import start_early

    # Before anything here imports torch too: the two processes do so side by side.
    if not dry_run and not flags["cluster"]:
        start_early(flags["suite"], flags["methods"], flags["datasets"])

    from bench_uq.run.suite import prepare

    choices = choices_of(flags)
    prepared = prepare(choices, warn)
    # No error, because an array of jobs may have more jobs than runs.
    if choices.shard and not prepared.mine:
        shards = f"{len(prepared.runs)} runs are fewer than {choices.shard[1]} shards"
        warn(f"nothing to do: {shards}")
    if dry_run:
        foretell(prepared)
        return

    failed = run_all(prepared, scored=not (choices.shard or no_score))
    if choices.shard:
        warn(how_to_join(choices.shard, prepared.folder))
    # A shard is not scored: its plan lists the runs of all shards, which are missing here.
    elif not no_score:
        from bench_uq.plan.plugins import Plugins
        from bench_uq.score.score import score

        score(prepared.folder, Plugins(choices.plugins))
        click.echo(f"scores: {prepared.folder / 'scores.csv'}")
    sys.exit(FAILED if failed else 0)


def choices_of(flags: dict[str, Any]) -> Choices:
    """Choices by the flags of the command, whose numbers are checked."""
    from bench_uq.run.suite import Choices

    timeout, cluster = flags.pop("timeout"), cluster_of(flags)
    if timeout is None:
        timeout = math.inf
    else:
        finite("--timeout", timeout)

    choices = Choices(**flags, cluster=cluster, timeout=timeout)
    finite("--checkpoint-every", choices.checkpoint_every)
    finite("--budget", choices.budget)
    return choices


def run_all(prepared: Prepared, *, scored: bool) -> int:
    """Do all runs, scored if asked for, and print how each ended; return how many failed."""
    from bench_uq.run.processes import Stopped
    from bench_uq.run.suite import run_suite

    try:
        return run_suite(prepared, finished, scored=scored)
    except Stopped as stop:
        warn("interrupted; finished runs are kept, the same command goes on")
        sys.exit(stop.code)


def warn(text: str) -> None:
    """Print a line on stderr."""
    click.echo(text, err=True)


def cluster_of(flags: dict[str, Any]) -> Cluster | None:
    """Remove the options of a cluster from the flags, and check that they belong to one."""
    from bench_uq.run.suite import Cluster

    # Choices has one field for all of them.
    place, insecure = flags.pop("cluster"), flags.pop("insecure")
    files = {name: flags.pop(f"tls_{name}") for name in ("ca", "cert", "key")}
    if place:
        return Cluster(place, **files, insecure=insecure)
    if insecure or any(files.values()):
        raise UsageError("--insecure, --tls-ca, --tls-cert and --tls-key are for --cluster")
    return None


def finite(option: str, value: float) -> float:
    """Require a finite number: click's range lets nan and inf through."""
    if not math.isfinite(value):
        raise UsageError(f"{option} must be a finite number of at least 0, not {value}")
    return value


def finished(name: str, result: Ended, *, err: bool = False) -> None:
    """Print how a run ended; with ``err`` on stderr, where stdout is for programs."""
    from bench_uq.run.record import verdict

    click.echo(f"{name}  {verdict(result)}", err=err)


def how_to_join(shard: tuple[int, int], folder: Path) -> str:
    """The line that a shard ends with."""
    # Quoted, so that the line can be copied into a shell.
    root = shlex.quote(str(folder.parent))
    return (
        f"shard {shard[0]}/{shard[1]} is done; after the last: bench-uq merge DIR... "
        "--results OUT, "
        f"or where all share {root}: bench-uq score --suite {folder.name} --results {root}"
    )


def foretell(prepared: Prepared) -> None:
    """Print the runs, which are stored, and the time that the others would take."""
    from bench_uq.run.suite import choose_device, estimates

    total = 0.0
    for name, seconds in estimates(prepared):
        if seconds is None:
            click.echo(f"{name}  stored")
            continue
        total += seconds
        click.echo(f"{name}  to do, about {duration(seconds)}")

    # Roughly: the last runs seldom end at the same time.
    at_once = prepared.at_once(choose_device(prepared.choices.device))
    count = len(prepared.mine)
    click.echo(f"{count} runs, about {duration(total / at_once)} with --jobs {at_once}")


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
