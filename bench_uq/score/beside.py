"""Runs scored while others still train: the scores of a suite are then soon complete."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from bench_uq import store
from bench_uq.plan.plugins import Plugins
from bench_uq.score.run_scores import Scoring, scored
from bench_uq.store import PlannedRun


@contextmanager
def beside(
    folder: Path, planned: Sequence[PlannedRun], plugins: Plugins
) -> Iterator[Callable[[str], Future[None]]]:
    """A function that scores a run in a thread, by its name, and keeps the scores beside it.

    What is not scored at the end of the block is left to ``score``.
    """
    runs = {run.name: run for run in planned}

    @functools.cache
    def scoring() -> Scoring:
        return Scoring.by(plugins, store.read_plan(folder).about)

    def kept(name: str) -> None:
        # What goes wrong here goes wrong again in ``score``, which says so.
        with suppress(Exception):
            scored(store.run_folder(folder, name, keep=True), runs[name], scoring())

    pool = ThreadPoolExecutor(1)
    try:
        yield lambda name: pool.submit(kept, name)
    finally:
        pool.shutdown(cancel_futures=True)
