"""Which runs are trained in one process as one batch of networks, and how: seeds of a method on a GPU."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch

from bench_uq import store
from bench_uq.checkpoint import NAME
from bench_uq.config import Settings
from bench_uq.contracts import Method
from bench_uq.data import Resident
from bench_uq.execute import (
    Job,
    clear,
    facts,
    interrupt,
    is_trained,
    splits_of,
    store_trained,
    task_of,
    threads_of,
)
from bench_uq.plugins import Plugins
from bench_uq.predict import BLOCK
from bench_uq.together import train_together
from bench_uq.train import Diverged

#: Where networks are trained together: a CPU has nothing idle, and its results do not depend on what runs beside them.
DEVICES = ("cuda",)

#: Networks in one batch at most: beyond it a small network fills a GPU, and a large one its memory.
MOST = 32


def grouped(jobs: Sequence[Job]) -> list[tuple[Job, ...]]:
    """Return jobs in the order they came, on a GPU those that differ in their seed alone together."""
    groups = dict[Any, list[Job]]()
    for job in jobs:
        alone = () if job.device in DEVICES else (job.run.name,)
        settings = tuple(sorted(job.run.settings.items()))
        groups.setdefault((job.run.method_full, job.run.dataset_full, job.run.network, settings, alone), []).append(job)
    return [tuple(part) for group in groups.values() for part in parts(group)]


def parts(jobs: list[Job]) -> list[list[Job]]:
    """Return jobs of one kind in groups of at most MOST networks."""
    method: Method = Plugins(jobs[0].files).spec("method", jobs[0].run.method_full).value
    size = max(1, MOST // method.members)
    return [jobs[start : start + size] for start in range(0, len(jobs), size)]


def is_group(jobs: Sequence[Job]) -> bool:
    """Return whether there may be several networks to train together: of seeds, or of one ensemble."""
    return jobs[0].device in DEVICES


def train_group(
    jobs: tuple[Job, ...], report: Callable[[float], None]
) -> tuple[dict[str, dict[str, Any]], tuple[Job, ...]]:
    """Train and store the networks of all runs that have none; return the records of those that diverged, and jobs.

    The jobs are as they came, but what has been trained is not forced again. Whatever goes wrong with them together is
    left to be tried with each alone, where it is recorded.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, interrupt)
    plugins, settings = Plugins(jobs[0].files), Settings(**jobs[0].run.settings)
    method: Method = plugins.spec("method", jobs[0].run.method_full).value
    ended: dict[str, dict[str, Any]] = {}
    trained = set[str]()
    with ExitStack() as locks, threads_of(jobs[0]):
        folders = {job.run.name: store.run_folder(job.folder, job.run.name) for job in jobs}
        due = [job for job in jobs if locks.enter_context(folders[job.run.name].locked()) and is_due(job)]
        if len(due) * method.members > 1:
            start = time.perf_counter()
            try:
                splits = [splits_of(job, plugins) for job in due]
                tasks = [task_of(job, plugins, training) for job, (training, _) in zip(due, splits, strict=True)]
                device = torch.device(jobs[0].device)
                data = [
                    (Resident(one, device, settings.batch), Resident(other, device, BLOCK)) for one, other in splits
                ]
                for job in due:
                    folder = folders[job.run.name]
                    folder.update(**facts(job.run), status="interrupted", reason="the process ended before the run did")
                    clear(job, folder)
                outcomes = train_together(method, tasks, data, settings, [job.run.seed for job in due], report=report)
            except Exception:  # told by name, or by the method: alone it is recorded whose fault it is
                outcomes = []
            seconds = (time.perf_counter() - start) / len(due)
            for job, outcome in zip(due, outcomes, strict=False):
                folder = folders[job.run.name]
                trained.add(job.run.name)
                if isinstance(outcome, Diverged):
                    ended[job.run.name] = folder.update(status="diverged", reason=str(outcome))
                else:
                    beside = [other.run.seed for other in due]
                    store_trained(folder, *outcome, seconds, together=beside)
    return ended, tuple(dataclasses.replace(job, force=job.force and job.run.name not in trained) for job in jobs)


def is_due(job: Job) -> bool:
    """Return whether a run is to be trained from its start: not stored here or elsewhere, and not begun."""
    folder = store.run_folder(job.folder, job.run.name)
    if job.force:
        return True
    begun = NAME in folder.record().get("files", {})
    stored = is_trained(folder) or store.elsewhere(job.folder, job.run.name, job.run.key) is not None
    return not (begun or stored)
