"""Runs scored while others still train: the scores of a suite are then soon complete.

In a process of their own, because netcal is silenced by taking its stdout, which is that of all
threads.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bench_uq import store
from bench_uq.plan.plugins import Plugins
from bench_uq.run.forkserver import context
from bench_uq.run.processes import die_with_parent, without_main
from bench_uq.store import PlannedRun

if TYPE_CHECKING:
    from bench_uq.score.run_scores import Scoring


@contextmanager
def beside(
    folder: Path, planned: Sequence[PlannedRun], files: tuple[Path, ...] = ()
) -> Iterator[Callable[[str], Future[None]]]:
    """A function that has a run scored, by its name, by the metrics of the user's ``files`` too.

    What is not scored at the end of the block is left to ``score``.
    """
    runs = {run.name: run for run in planned}
    pool = ProcessPoolExecutor(1, context(), initializer=begin)

    def scored(name: str) -> Future[None]:
        with without_main():
            return pool.submit(keep, folder, runs[name], files)

    try:
        yield scored
    finally:
        pool.shutdown(cancel_futures=True)


def begin() -> None:
    """Leave signals of the terminal to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setsid()
    threading.Thread(target=die_with_parent, daemon=True).start()
    # What plugins print is not for the stdout of the command.
    os.dup2(2, 1)


def keep(folder: Path, planned: PlannedRun, files: tuple[Path, ...]) -> None:
    """Score a run and keep its scores beside it."""
    # What goes wrong here goes wrong again in ``score``, which says so.
    with suppress(Exception):
        # On use: the process loads what scores are made with while runs train.
        from bench_uq.score.run_scores import scored

        scored(store.run_folder(folder, planned.name, keep=True), planned, scoring(folder, files))


@functools.cache
def scoring(folder: Path, files: tuple[Path, ...]) -> Scoring:
    """How runs are scored; the same for all runs of a suite."""
    from bench_uq.score.run_scores import Scoring

    return Scoring.by(Plugins(files), store.read_plan(folder).about)
