"""One run in its own process: train and predict the missing parts, and record how it ended."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable
from typing import Any

import torch

from bench_uq import store
from bench_uq.api.errors import Interrupted, UsageError, one_line
from bench_uq.plan.plugins import Plugins
from bench_uq.run.job import Job, complete_in, missing
from bench_uq.run.record import Ended, printable, recorded, told
from bench_uq.run.showing import show
from bench_uq.run.training import arithmetic_of, restored, splits_of, train_missing
from bench_uq.store import Record, RunFolder
from bench_uq.store.environment import peak_memory


def execute(job: Job, report: Callable[[float], None]) -> Ended | None:
    """Do a run; return None if another process is doing it.

    The result is right even where the record could not be stored.
    """
    # The parent decides when a run is to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, interrupt)
    # A plugin may change the working folder.
    job = job.absolute()
    folder = job.run_folder()

    def reported(share: float) -> None:
        # A plugin that forks the process would otherwise do the run twice.
        store.leave_if_forked()
        report(share)

    try:
        with folder.locked() as mine:
            if not mine:
                return None
            # Another process may have done it between the plan and this lock.
            if not job.force and complete_in(folder, job):
                return Ended(folder.record(), stored=True)

            # Scoring writes scored.json without the lock of the run.
            store.discard_partial(folder.path, besides=["scored.json"])
            with recorded(folder, job.files) as ending:
                ending.lacking += work(job, folder, reported)
                ending.memory = peak_memory(torch.device(job.device))
            return Ended(dataclasses.replace(folder.record(), **ending.unstored))

    except (OSError, UsageError) as error:
        # The folder or the record cannot be written.
        told(folder, error)
        reason = printable(one_line(error))
        return Ended(Record(job.run.name, status="failed", reason=reason))


def interrupt(signum: int, frame: Any) -> None:
    """Turn a signal into an exception, so that stored files stay whole and the record says why."""
    del signum, frame
    raise Interrupted


def work(job: Job, folder: RunFolder, report: Callable[[float], None]) -> list[str]:
    """Train and predict the missing parts; return the reasons why some are still missing."""
    # A broken plugin file that the run does not use must not end it.
    plugins = Plugins(job.files, lazy=True)
    splits = splits_of(job, plugins)

    with arithmetic_of(job):
        train_missing(job, folder, plugins, splits, lambda share: report(0.8 * share))
        # Asked only now, because a new training makes all earlier predictions due.
        todo = missing(folder, job, repair=True)
        trained = restored(job, folder, plugins, splits[0])

        def shown(share: float) -> None:
            report(0.8 + 0.2 * share)

        return show(trained, todo, job, folder, plugins, splits, shown)
