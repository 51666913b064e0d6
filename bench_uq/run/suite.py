"""Run a suite: plan it, train and predict what is missing, score it."""

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

from bench_uq.api.errors import UsageError

if TYPE_CHECKING:
    from bench_uq.plan.fingerprints import Contents
    from bench_uq.plan.plugins import Plugins
    from bench_uq.plan.runs import Run
    from bench_uq.plan.suite import Suite
    from bench_uq.run.job import Job
from collections.abc import Iterable
from typing import TYPE_CHECKING

from bench_uq.api.names import parse

if TYPE_CHECKING:
    from bench_uq.plan.plugins import Plugins
from bench_uq.score.published import FILE, Reference, read_file

#: Does jobs, and tells how each ended: (jobs, finished=) -> None.
Work = Callable[..., None]


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
        from bench_uq.run.processes import run_all

        chosen = choose_device(device)
        yield chosen, partial(run_all, at_once=jobs or default_jobs(runs, chosen), timeout=timeout)
        return
    from bench_uq.run.cluster import client, connection

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


def make_jobs(
    runs: list[Run], folder: Path, root: Path, plugins: Plugins, device: str, how: dict[str, Any]
) -> list[Job]:
    """Return a job a run."""
    from bench_uq.run.job import Job
    from bench_uq.store.environment import git_state

    git = git_state()
    return [Job(run, folder, root, plugins.files, device, git, **how) for run in runs]


def repeatable(suite: str, chosen: Suite, device: str, flags: Mapping[str, Any]) -> str:
    """Return the command that makes the same runs again, but for methods, datasets and seeds, which results name.

    Names of methods and datasets hold their options, those of conditions are not in it. Files are named by their last
    part: results are published.
    """
    from bench_uq.api.names import plain_name

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
    from bench_uq.plan.runs import plan_entry
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
    from bench_uq.run.job import complete
    from bench_uq.run.processes import SchedulerLost, Stopped

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
        sys.exit(1)
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


def read_references(path: Path, plugins: Plugins | None = None) -> list[Reference]:
    """Return the references of a suite's file, laid over those of the suites that it extends."""
    from bench_uq.plan.suite import lineage

    metrics = plugins.metrics() if plugins else None
    found: dict[tuple[str, ...], Reference] = {}
    for suite in lineage(path):
        beside = suite.with_name(f"{suite.stem}.{FILE}")
        if beside.is_file():
            found |= {one.key: one for one in read_file(beside, metrics)}
    return list(found.values())


def check_names(references: Iterable[Reference], plugins: Plugins) -> None:
    """Refuse names of plugins other than results have them: such a value would never find its score."""
    for one in references:
        for kind, text in (("method", one.method), ("dataset", one.dataset)):
            if (
                parse(text)[0] in plugins.names(kind)
                and (name := plugins.spec(kind, text).name) != text
            ):
                raise UsageError(f"{FILE}: results call {kind} {text!r} {name!r}")
