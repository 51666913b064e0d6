"""How the process of a run ends: its time limit, with its parent, and the record of one that died.

It imports no torch, so that a worker of a cluster stays small.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from bench_uq.run.job import Job
from bench_uq.run.record import UNFINISHED, Ended, facts, told

#: Seconds that a process has to end in order after it was told to stop; then it is killed.
GRACE = 10.0


@dataclass
class Limit:
    """Time limit of a process: ``timeout`` seconds for each of its runs."""

    timeout: float = math.inf
    runs: int = 1
    told: float | None = None  # when it was told to stop
    late: bool = False  # whether the limit was the reason

    def __post_init__(self) -> None:
        # Unlike the clock on the wall the monotonic one is never set.
        self.due = time.monotonic() + self.runs * self.timeout

    def keep(self, process: Any, *, wanted: bool = True) -> None:
        """Tell a process to stop that is late or not wanted; kill it if it does not."""
        now = time.monotonic()
        if self.told is None and (now > self.due or not wanted):
            self.told, self.late = now, now > self.due
            process.terminate()
        elif self.told is not None and now > self.told + GRACE:
            sweep(process)


def die_with_parent(grace: float = 0.0) -> None:
    """End this process, and all it started, when its parent is gone, so that no orphan continues.

    It is told to stop first where it has ``grace`` seconds to end in order.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    parent.join()
    if grace:
        # A signal lets the run record that it was interrupted.
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(grace)
    # This process may not be the head of a group yet.
    with suppress(ProcessLookupError):
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(143)


def sweep(process: Any) -> None:
    """Kill a process and all that it has started, which are a process group of their own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    # Where the process leads no group, it is killed alone.
    process.kill()


def killed(job: Job, code: int, limit: Limit) -> Ended:
    """Record a run whose process ended without a result, or was stopped for its time limit."""
    known = {number.value: number.name for number in signal.Signals}
    ending = f"exited with {code}"
    if code < 0:
        ending = f"was killed by {known.get(-code, f'signal {-code}')}"
    reason = f"its process {ending}"
    if limit.late:
        reason = f"took longer than the {limit.timeout:g} s of --timeout"

    record = job.run_folder().record()
    stopped = record.status == "interrupted" and record.reason != UNFINISHED
    # It was told to stop from outside, and said so.
    if code == 0 and stopped and not limit.late:
        return Ended(record)
    return failed(job, reason)


def failed(job: Job, reason: str) -> Ended:
    """Record that a run has failed, unless another process is doing it."""
    folder = job.run_folder()
    ending: dict[str, Any] = {"status": "failed", "reason": reason}
    # Without the lock another process is at the run, whose record is not ours to write.
    with folder.locked() as mine:
        record = folder.record()
        # It died before it could say who it is.
        if record.key != job.run.key:
            ending |= facts(job.run)
        try:
            if mine:
                return Ended(folder.update(**ending))
        except OSError as error:
            # On a full disk the line on stderr is all that says so.
            told(folder, error)

    return Ended(replace(record, **ending))
