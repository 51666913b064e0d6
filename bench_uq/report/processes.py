"""Work of a report in several processes, where they can be forked."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from bench_uq.store.environment import cores

Result = TypeVar("Result")

#: The work of this process, which those that are forked from it find here: plugins and their
#: functions could not be sent to them.
_work: list[Callable[[int], Any]] = []


def in_processes(work: Callable[[int], Result], count: int) -> Iterator[Result]:
    """Results of ``work`` for 0 to count - 1, in their order, one process per core."""
    processes = min(cores(), count)
    if processes < 2 or not may_fork():
        yield from map(work, range(count))
        return

    _work.append(work)
    try:
        context = multiprocessing.get_context("fork")
        pool = ProcessPoolExecutor(processes, context, initializer=_leave_signals)
        with pool, warnings.catch_warnings():
            # Python warns of every thread, also of those of linear algebra, which are made anew.
            warnings.simplefilter("ignore", DeprecationWarning)
            yield from pool.map(_nth, range(count))
    finally:
        _work.pop()


def _leave_signals() -> None:
    """Leave Ctrl-C, which reaches all processes of a terminal, to the one that they belong to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _nth(index: int) -> Any:
    """Result of the work for one number, in a forked process."""
    return _work[-1](index)


def may_fork() -> bool:
    """Whether a copy of this process can go on: it has one thread, and no library that breaks."""
    # Torch's threads do not survive a fork, and those of a notebook may hold locks.
    single = threading.active_count() == 1 and threading.current_thread() is threading.main_thread()
    return sys.platform == "linux" and single and "torch" not in sys.modules
