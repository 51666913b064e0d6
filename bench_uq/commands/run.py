"""bench-uq run."""

from __future__ import annotations

import math
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench_uq.commands.options import (
    FAILED,
    data_option,
    listed,
    plugin_option,
    results_option,
    suite_option,
)
from bench_uq.completion import plugin_names, settings
from bench_uq.errors import UsageError
from bench_uq.folders import enclosed

if TYPE_CHECKING:
    from bench_uq.config import Suite
    from bench_uq.contents import Contents
    from bench_uq.execute import Job
    from bench_uq.plan import Run
    from bench_uq.plugins import Plugins

#: Does jobs, and tells how each ended: (jobs, finished=) -> None.
Work = Callable[..., None]


def shard_number(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int, int] | None:
    """Return which of how many shards is to be done, None without the option."""
    from bench_uq.shards import read_shard

    del context, parameter
    return None if value is None else read_shard(value)


@click.command()
@suite_option
@listed("methods", "Methods instead of the suite's: mnf,dropout[rate=0.2]", plugin_names("method"))
@listed("datasets", "Datasets instead of the suite's.", plugin_names("dataset"))
@listed("seeds", "Seeds instead of the suite's.")
@click.option(
    "--network",
    metavar="NAME|FILE.py",
    help="Network instead of the task's: a name or your own file.",
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True
)
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
    shell_complete=settings,
    help="A setting, or METHOD.option=VALUE.",
)
@plugin_option
@click.option(
    "--dry-run", is_flag=True, help="Print the runs, which are stored, and an estimate of the time."
)
@click.option("--force", is_flag=True, help="Do again what is stored.")
@click.option(
    "--checkpoint-every",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How often a training stores where it stands, after an epoch.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop a run that takes longer; it has failed, and is gone on with the next time. [default: none]",
)
@click.option(
    "--cluster",
    metavar="ADDRESS|local[:N]|FILE.json",
    help="Hand the runs to the workers of dask: a scheduler's address or file, or N workers that are started here.",
)
@click.option(
    "--tls-ca", type=click.Path(path_type=Path), metavar="FILE", help="Of a scheduler at tls://..."
)
@click.option(
    "--tls-cert", type=click.Path(path_type=Path), metavar="FILE", help="and your own certificate"
)
@click.option("--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="and its key.")
@click.option(
    "--insecure", is_flag=True, help="Join a cluster that other machines can reach without TLS."
)
@click.option("--no-score", is_flag=True, help="Leave scoring to bench-uq score.")
@click.option(
    "--shard",
    callback=shard_number,
    metavar="K/N",
    help="Do the K-th of N parts of the runs alone, unscored, for arrays of jobs; bench-uq merge joins their results.",
)
def run(
    suite: str, results: Path, data_dir: Path, device: str, jobs: int | None, **flags: Any
) -> None:
    """Train each method on each dataset over the seeds, show it every condition, score what it predicts."""
    from bench_uq.config import read_suite, suite_path
    from bench_uq.contents import Contents
    from bench_uq.plan import make_plan
    from bench_uq.plugins import Plugins
    from bench_uq.references import check_names, hand_on, read_references
    from bench_uq.shards import shard_of
    from bench_uq.store import check_schema

    known = Plugins(tuple(flags["plugins"]))
    changes = {
        "set": flags["assignments"],
        **{key: flags[key] for key in ("methods", "datasets", "seeds", "network")},
    }
    chosen = read_suite(suite, changes)
    references = read_references(suite_path(suite))
    check_names(references, known)
    folder = enclosed(results / suite_folder_name(chosen))
    contents = Contents(data_dir, results / ".contents.json")
    runs = make_plan(chosen, known, contents, notice=lambda text: click.echo(text, err=True))
    how = {
        "force": flags["force"],
        "checkpoint_every": finite("--checkpoint-every", flags["checkpoint_every"]),
    }
    check_schema(folder, [run.name for run in runs])
    mine = shard_of(runs, *flags["shard"]) if flags["shard"] else runs
    if not mine:
        click.echo(
            f"nothing to do: {len(runs)} runs are fewer than {flags['shard'][1]} shards", err=True
        )
    timeout = math.inf if flags["timeout"] is None else finite("--timeout", flags["timeout"])
    if flags["dry_run"]:
        planned = make_jobs(mine, folder, data_dir, known, choose_device(device), how)
        dry_run(planned, jobs or default_jobs(mine, choose_device(device)))
        return
    with workplace(flags, device, jobs, contents, mine, timeout) as (chosen_device, work):
        contents.remember()
        if folder.name == chosen.name:  # published values are of test splits
            hand_on(references, folder)
        remember(runs, folder, chosen.description, repeatable(suite, chosen, device, flags))
        planned = make_jobs(mine, folder, data_dir, known, chosen_device, how)
        failed = do(planned, work)
    if flags["shard"]:
        click.echo(how_to_join(flags["shard"], folder), err=True)
    elif not flags["no_score"]:
        from bench_uq.score import score as score_folder

        score_folder(folder)
        click.echo(f"scores: {folder / 'scores.csv'}")
    sys.exit(FAILED if failed else 0)


def suite_folder_name(suite: Suite) -> str:
    """Return the folder of a suite: scores on the validation split never stand among those on the test split."""
    return f"{suite.name}-validation" if suite.settings.evaluate_on == "validation" else suite.name


@contextmanager
def workplace(
    flags: Mapping[str, Any],
    device: str,
    jobs: int | None,
    contents: Contents,
    runs: list[Run],
    timeout: float,
) -> Iterator[tuple[str, Work]]:
    """Yield the device of the runs, and what does jobs there: the processes of this machine, or the cluster."""
    from functools import partial

    tls = {name: flags[f"tls_{name}"] for name in ("ca", "cert", "key")}
    if not flags["cluster"]:
        if flags["insecure"] or any(tls.values()):
            raise UsageError("--insecure, --tls-ca, --tls-cert and --tls-key are for --cluster")
        from bench_uq.runner import run_all

        chosen = choose_device(device)
        yield chosen, partial(run_all, at_once=jobs or default_jobs(runs, chosen), timeout=timeout)
        return
    from bench_uq.cluster import client, connection

    place = connection.parse_place(flags["cluster"])
    room = len(connection.gpus()) if device != "cpu" else 0
    with connection.connected(
        place, tls, flags["insecure"], room or default_jobs(runs, "cpu")
    ) as dask:
        chosen, limit = client.choose_device(device, dask), None if math.isinf(timeout) else timeout
        yield chosen, partial(client.run_all, dask, contents, at_once=jobs, timeout=limit)


def choose_device(name: str) -> str:
    """Return the device to run on: CUDA when there and not refused."""
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device here (--device auto or cpu runs on the CPU)")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def default_jobs(runs: list[Run], device: str) -> int:
    """Return how many runs go at a time: what the cores allow, one on a GPU."""
    if not runs or device != "cpu":  # none: a shard beyond the last run
        return 1
    threads = max(run.settings["threads"] for run in runs)
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return max(1, min(len(runs), cores // threads))


def finite(option: str, value: float) -> float:
    """Return a number that click's range lets through, but not nan or inf."""
    if not math.isfinite(value):
        raise UsageError(f"{option} must be a finite number of at least 0, not {value}")
    return value


def make_jobs(
    runs: list[Run], folder: Path, root: Path, plugins: Plugins, device: str, how: dict[str, Any]
) -> list[Job]:
    """Return a job a run."""
    from bench_uq.environment import git_state
    from bench_uq.execute import Job

    git = git_state()
    return [Job(run, folder, root, plugins.files, device, git, **how) for run in runs]


def repeatable(suite: str, chosen: Suite, device: str, flags: Mapping[str, Any]) -> str:
    """Return the command that makes the same runs again, but for methods, datasets and seeds, which results name.

    Names of methods and datasets hold their options, those of conditions are not in it. Files are named by their last
    part: results are published.
    """
    from bench_uq.grammar import plain_name

    shown = {
        plain_name(name)
        for part in (chosen.conditions, *chosen.dataset_conditions.values())
        for name in part
    }
    named = [("--network", flags["network"])] if flags["network"] else []
    named += [("--plugin", str(path)) for path in flags["plugins"]]
    parts = ["bench-uq", "run", "--suite", Path(suite).name]
    parts += [part for option, value in named for part in (option, Path(value).name)]
    parts += [] if device == "auto" else ["--device", device]
    for assignment in flags["assignments"]:
        plugin, dot, _ = assignment.partition("=")[0].strip().rpartition(".")
        if not dot or plugin in shown:
            parts += ["--set", assignment]
    return shlex.join(parts)


def remember(runs: list[Run], folder: Path, description: str, command: str) -> None:
    """Lay the runs of a suite into the stored plan, those of other shards too: what is never made shows as missing."""
    from bench_uq.plan import plan_entry
    from bench_uq.store import merge_plan

    entries = {
        f"{run.method}|{run.dataset}|{run.seed}": plan_entry(run) | {"command": command}
        for run in runs
    }
    merge_plan(folder, entries, description=description)


def how_to_join(shard: tuple[int, int], folder: Path) -> str:
    """Return the line that a shard ends with."""
    root = shlex.quote(str(folder.parent))
    return (
        f"shard {shard[0]}/{shard[1]} is done; after the last: bench-uq merge DIR... --results OUT, "
        f"or where all share {root}: bench-uq score --suite {folder.name} --results {root}"
    )


def do(planned: list[Job], work: Work) -> int:
    """Do the jobs that are not stored, a line each, and return how many failed."""
    from bench_uq.execute import complete
    from bench_uq.runner import SchedulerLost, Stopped

    todo = [job for job in planned if job.force or not complete(job)]
    due = {job.run.name for job in todo}
    for job in planned:
        if job.run.name not in due:
            click.echo(f"{job.run.name}  stored")
    failed = 0

    def finished(job: Job, record: dict[str, Any]) -> None:
        nonlocal failed
        failed += record["status"] != "ok" or bool(record.get("reason"))
        click.echo(f"{job.run.name}  {verdict(record)}")

    try:
        work(todo, finished=finished)
    except Stopped as stop:
        click.echo("interrupted; finished runs are kept, the same command goes on", err=True)
        sys.exit(stop.code)
    except SchedulerLost as error:
        click.echo(f"Error: {error}; finished runs are kept, the same command goes on", err=True)
        sys.exit(FAILED)
    return failed


def verdict(record: dict[str, Any]) -> str:
    """Return how a run ended, for its line on stdout."""
    if record.get("stored"):
        return "stored"
    if record["status"] != "ok":
        return f"{record['status']}: {record.get('reason')}"
    seconds = f"trained in {record['train_seconds']:.1f} s, predicted in {sum(record['predict_seconds'].values()):.1f} s"
    lacking = f", but {record['reason']}" if record.get("reason") else ""
    return f"ok{lacking}  {seconds}{'' if record['converged'] else '  (not converged)'}"


def dry_run(planned: list[Job], at_once: int) -> None:
    """Print what a run would do and how long it would take."""
    from bench_uq.estimate import estimate
    from bench_uq.execute import complete

    total = 0.0
    for job in planned:
        if complete(job) and not job.force:
            click.echo(f"{job.run.name}  stored")
            continue
        seconds = estimate(job)
        total += seconds
        click.echo(f"{job.run.name}  to do, about {duration(seconds)}")
    click.echo(f"{len(planned)} runs, about {duration(total / at_once)} with --jobs {at_once}")


def duration(seconds: float) -> str:
    """Return seconds for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
