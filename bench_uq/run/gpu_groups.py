"""Which runs are trained in one process as one batch of networks, and how: seeds of a method on a GPU."""

from __future__ import annotations

import dataclasses
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch

from bench_uq import store
from bench_uq.api.errors import one_line
from bench_uq.api.method import Method
from bench_uq.plan.plugins import Plugins
from bench_uq.run.checkpoints import NAME
from bench_uq.run.execute import interrupt
from bench_uq.run.job import Job, is_trained
from bench_uq.run.record import UNFINISHED, facts, told
from bench_uq.run.training import arithmetic_of, clear, splits_of, store_trained, task_of
from bench_uq.train.batched import Outcome, train_together
from bench_uq.train.epoch import Diverged
from bench_uq.train.resident import Resident
from bench_uq.train.settings import BLOCK, Settings

#: Where networks are trained together: a CPU has nothing idle, and its results do not depend on what runs beside them.
DEVICES = ("cuda",)

#: Networks in one batch at most: beyond it a small network fills a GPU, and a large one its memory.
MOST = 32


def grouped(jobs: Sequence[Job]) -> list[tuple[Job, ...]]:
    """Return jobs in the order they came, on a GPU those that differ in their seed alone together."""
    groups = dict[Any, list[Job]]()
    for job in jobs:
        settings = tuple(sorted(job.run.settings.items()))
        alike = (job.run.method_full, job.run.dataset_full, job.run.network, settings)
        groups.setdefault(alike if is_group([job]) else job.run.name, []).append(job)
    return [tuple(part) for group in groups.values() for part in parts(group)]


def parts(jobs: list[Job]) -> list[list[Job]]:
    """Return jobs of one kind in groups of at most MOST networks."""
    if len(jobs) == 1:
        return [jobs]
    size = max(1, MOST // method_of(jobs[0]).members)
    return [jobs[start : start + size] for start in range(0, len(jobs), size)]


def is_group(jobs: Sequence[Job]) -> bool:
    """Return whether there may be several networks to train together: of seeds, or of one ensemble."""
    return jobs[0].device in DEVICES


def method_of(job: Job) -> Method:
    """Return the method of a job."""
    method: Method = Plugins(job.files, lazy=True).spec("method", job.run.method_full).value
    return method


def train_group(
    jobs: tuple[Job, ...], report: Callable[[float], None]
) -> tuple[dict[str, dict[str, Any]], tuple[Job, ...]]:
    """Train and store the networks of all runs that have none; return the records of those that diverged, and jobs.

    The jobs are as they came, but what has been trained is not forced again. Whatever goes wrong with them together is
    said, and left to be tried with each alone, where it is recorded.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, interrupt)
    ended: dict[str, dict[str, Any]] = {}
    trained = set[str]()
    try:
        with ExitStack() as locks, arithmetic_of(jobs[0]):
            due = [
                job for job in jobs if locks.enter_context(folder_of(job).locked()) and is_due(job)
            ]
            if len(due) * method_of(jobs[0]).members > 1:
                start = time.perf_counter()
                outcomes = outcomes_of(due, report)
                seconds, beside = (
                    (time.perf_counter() - start) / len(due),
                    [job.run.seed for job in due],
                )
                for job, outcome in zip(
                    due, outcomes, strict=False
                ):  # none where they are left to be trained alone
                    if isinstance(outcome, Diverged):
                        ended[job.run.name] = folder_of(job).update(
                            status="diverged", reason=str(outcome)
                        )
                    else:
                        store_trained(folder_of(job), *outcome, seconds, together=beside)
                    trained.add(job.run.name)
    except OSError as error:  # no room, most likely, and alone there may be some
        told(folder_of(jobs[0]), error)
    return ended, tuple(
        dataclasses.replace(job, force=job.force and job.run.name not in trained) for job in jobs
    )


def outcomes_of(jobs: Sequence[Job], report: Callable[[float], None]) -> list[Outcome]:
    """Return what the training of all runs comes to, nothing where they cannot be trained together."""
    plugins, device = Plugins(jobs[0].files, lazy=True), torch.device(jobs[0].device)
    settings = Settings(**jobs[0].run.settings)
    try:
        splits = [splits_of(job, plugins) for job in jobs]
        tasks = [task_of(job, plugins, own) for job, (own, _) in zip(jobs, splits, strict=True)]
        data = [
            (Resident(own, device, settings.batch), Resident(out, device, BLOCK))
            for own, out in splits
        ]
        for job in jobs:
            folder_of(job).update(**facts(job.run), status="interrupted", reason=UNFINISHED)
            clear(job, folder_of(job))
        return train_together(
            method_of(jobs[0]), tasks, data, settings, [job.run.seed for job in jobs], report=report
        )
    except (
        Exception
    ) as error:  # told by NotTogether, or the method's own: alone it is recorded whose fault it is
        print(
            f"{jobs[0].run.name} is trained alone, not with its other seeds: {one_line(error)}",
            file=sys.stderr,
        )
        return []


def folder_of(job: Job) -> store.RunFolder:
    """Return the folder of a job's run."""
    return store.run_folder(job.folder, job.run.name)


def is_due(job: Job) -> bool:
    """Return whether a run is to be trained from its start: not stored here or elsewhere, and not begun."""
    folder = folder_of(job)
    if job.force:
        return True
    begun = NAME in folder.record().get("files", {})
    stored = (
        is_trained(folder) or store.elsewhere(job.folder, job.run.name, job.run.key) is not None
    )
    return not (begun or stored)
