"""One run in its own process: train what is not yet trained, show it what it was not yet shown, record everything."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable
from typing import Any

import torch

from bench_uq import store
from bench_uq.api.errors import Interrupted, UsageError, one_line
from bench_uq.plan.plugins import Plugins
from bench_uq.run.job import Job, complete, missing
from bench_uq.run.record import printable, recorded, told
from bench_uq.run.showing import show
from bench_uq.run.training import arithmetic_of, restored, splits_of, train_missing
from bench_uq.store.environment import peak_memory


def execute(job: Job, report: Callable[[float], None]) -> dict[str, Any] | None:
    """Do a run and return its record, also one that could not be stored; None where another process is at it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, interrupt)
    # Whole paths: a plugin may change the working folder.
    files = tuple(file.absolute() for file in job.files)
    job = dataclasses.replace(
        job, folder=job.folder.absolute(), root=job.root.absolute(), files=files
    )
    folder = store.run_folder(job.folder, job.run.name)

    def reported(share: float) -> None:
        store.leave_if_forked()
        report(share)

    try:
        with folder.locked() as mine:
            if not mine:
                return None
            if complete(job) and not job.force:
                return {**folder.record(), "stored": True}  # another process was faster
            store.discard_partial(folder.path, besides=["scored.json"])
            with recorded(folder, job.files) as ending:
                ending.lacking += work(job, folder, reported)
            return {**folder.record(), **ending.unstored}
    except (
        OSError,
        UsageError,
    ) as error:  # it has not begun: a folder cannot be made, or a record not be changed
        told(folder, error)
        return {"status": "failed", "reason": printable(one_line(error))}


def interrupt(signum: int, frame: Any) -> None:
    """Turn a signal into an exception, so that what is stored stays whole and the record says why."""
    del signum, frame
    raise Interrupted


def work(job: Job, folder: store.RunFolder, report: Callable[[float], None]) -> list[str]:
    """Train and predict what is missing; return why some of it still is."""
    plugins = Plugins(job.files, lazy=True)
    splits = splits_of(job, plugins)
    with arithmetic_of(job):
        train_missing(job, folder, plugins, splits, lambda share: report(0.8 * share))
        todo = missing(job, repair=True)
        trained = restored(job, folder, plugins, splits[0])
        lacking = show(
            trained, todo, job, plugins, splits[1], lambda share: report(0.8 + 0.2 * share)
        )
    memory = peak_memory(torch.device(job.device))
    folder.update(peak_memory=max(memory, folder.record().get("peak_memory") or 0))
    return lacking
