"""The runs not yet stored, each in a process of its own, or in one with others like it: started, watched, recorded."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any

from tqdm import tqdm

from bench_uq import store
from bench_uq.api.errors import Interrupted
from bench_uq.run.execute import execute
from bench_uq.run.gpu_groups import grouped, is_group, train_group
from bench_uq.run.job import Job
from bench_uq.run.record import UNFINISHED, facts, told

#: What every run would import again, for seconds each: an optimiser imports torch._dynamo on first use, and datasets
#: scikit-learn and matplotlib. Imported once, in the process that all runs are forked from.
PRELOADED = [
    "bench_uq.run.execute",
    "torch._dynamo",
    "sklearn.datasets",
    "sklearn.model_selection",
    "matplotlib.textpath",
]

#: Seconds between two looks at a run that another process is doing.
PATIENCE = 1.0

#: Seconds that a process has to end in order once it was told to stop; then it is killed.
GRACE = 10.0


class Stopped(Exception):
    """The whole command was interrupted; carries the exit code 130 or 143."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class SchedulerLost(Exception):
    """The scheduler of a cluster does not answer any more."""


@dataclass
class Limit:
    """Until when a process may work, and when it was told to stop; seconds of the monotonic clock."""

    due: float = math.inf
    told: float | None = None
    late: bool = False  # that was why

    def keep(self, process: Any, *, wanted: bool = True) -> None:
        """Tell a process whose time is up, or that is not wanted, to stop, and kill one that does not."""
        now = time.monotonic()
        if self.told is None and (now > self.due or not wanted):
            self.told, self.late = now, now > self.due
            process.terminate()
        elif self.told is not None and now > self.told + GRACE:
            sweep(process)


@dataclass
class Worker:
    """A process at work on jobs, and how far it is."""

    jobs: tuple[Job, ...]
    process: Any
    connection: Connection
    limit: Limit = field(default_factory=Limit)
    progress: float = 0.0
    results: dict[int, dict[str, Any] | None] = field(
        default_factory=dict
    )  # None: another process holds the run


def run_all(
    jobs: Sequence[Job],
    at_once: int,
    finished: Callable[[Job, dict[str, Any]], None],
    timeout: float = math.inf,
) -> None:
    """Do all jobs, ``at_once`` at a time; ``finished`` is called with each job's record as it ends.

    A run that takes longer than ``timeout`` seconds is stopped and has failed; runs trained together have theirs each.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    waiting, working = Waiting(grouped(jobs), attacked(jobs)), list[Worker]()
    with stoppable(working), bar(len(jobs)) as progress:
        done = 0
        while waiting or working:
            while waiting and len(working) < at_once:
                working.append(start(context, waiting.take(), timeout))
            for worker in working:
                worker.limit.keep(worker.process)
            for worker in ended(working):
                working.remove(worker)
                for index, job in enumerate(worker.jobs):
                    late = timeout if worker.limit.late else None
                    known = index in worker.results
                    record = (
                        worker.results[index]
                        if known
                        else killed(job, worker.process.exitcode, late)
                    )
                    if record is None:
                        time.sleep(PATIENCE)
                        waiting.put((job,))
                        continue
                    done += 1
                    waiting.seconds[kind(job)] = record.get("train_seconds") or 0.0
                    progress.clear()  # its line is for stdout, which may be the same terminal
                    finished(job, record)
            progress.n = done + sum(worker.progress * len(worker.jobs) for worker in working)
            progress.set_description_str(", ".join(name(worker.jobs) for worker in working))


def name(jobs: Sequence[Job]) -> str:
    """Return what jobs are called while they are at work."""
    more = f" and {len(jobs) - 1} more" if len(jobs) > 1 else ""
    return jobs[0].run.name.rsplit("-", 1)[0] + more


def kind(job: Job) -> tuple[str, str]:
    """Return what runs of one length share."""
    return job.run.method, job.run.dataset


def surrogates(job: Job) -> set[str]:
    """Return the names of the runs whose networks a job attacks."""
    return {shown.surrogate.name for shown in job.run.shown if shown.surrogate}


def attacked(jobs: Sequence[Job]) -> set[str]:
    """Return the names of the runs whose networks any job attacks."""
    return set[str]().union(*map(surrogates, jobs))


class Waiting:
    """Jobs to start, the longest as far as known first, so that no long one is left for last.

    Those whose networks others attack go before, then those of which none has ended yet, in their order.
    """

    def __init__(self, waiting: Sequence[tuple[Job, ...]], attacked: set[str]) -> None:
        self.attacked = attacked  # names of runs
        self.lines = dict[tuple[bool, tuple[str, str]], deque[tuple[Job, ...]]]()
        self.seconds = dict[tuple[str, str], float]()  # of each kind, the last that ended
        for jobs in waiting:
            self.put(jobs)

    def __len__(self) -> int:
        return sum(map(len, self.lines.values()))

    def put(self, jobs: tuple[Job, ...]) -> None:
        """Let jobs wait, behind others of their kind."""
        first = any(job.run.name in self.attacked for job in jobs)
        self.lines.setdefault((first, kind(jobs[0])), deque()).append(jobs)

    def take(self) -> tuple[Job, ...]:
        """Return the jobs to start next."""
        first = max(self.lines, key=lambda line: (line[0], self.seconds.get(line[1], math.inf)))
        jobs = self.lines[first].popleft()
        if not self.lines[first]:
            del self.lines[first]
        return jobs


def bar(total: int) -> tqdm[Any]:
    """Return a progress bar with an estimate on stderr; silent when piped."""
    form = "{percentage:3.0f}%|{bar}| {n:.1f}/{total_fmt} runs [{elapsed}<{remaining}] {desc}"
    return tqdm(
        total=total,
        disable=not sys.stderr.isatty(),
        bar_format=form,
        file=sys.stderr,
        dynamic_ncols=True,
    )


def start(context: Any, jobs: tuple[Job, ...], timeout: float = math.inf) -> Worker:
    """Start a process on jobs, with so many seconds for each."""
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=child, args=(jobs, theirs), daemon=True)
    process.start()
    theirs.close()
    return Worker(jobs, process, ours, Limit(time.monotonic() + len(jobs) * timeout))


def sweep(process: Any) -> None:
    """Kill a process and all that it has started and left behind: they are a group of their own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()


def child(jobs: tuple[Job, ...], connection: Connection) -> None:
    """Do jobs in the child process and send back their records; what a plugin prints goes to stderr."""
    os.setsid()
    threading.Thread(target=die_with_parent, daemon=True).start()
    os.dup2(2, 1)

    def report(share: float) -> None:
        connection.send(("progress", share))

    with suppress(Interrupted):
        ended, before = dict[str, dict[str, Any]](), 0.0
        if is_group(jobs):
            before = 0.5
            ended, jobs = train_group(jobs, lambda share: report(before * share))
        for index, job in enumerate(jobs):
            done, part = before + (1 - before) * index / len(jobs), (1 - before) / len(jobs)
            record = ended.get(job.run.name) or execute(
                job, partial(progressed, report, done, part)
            )
            connection.send(("done", (index, record)))


def progressed(report: Callable[[float], None], done: float, part: float, share: float) -> None:
    """Report the progress of one of several jobs: so much was done before, and it is that part of all."""
    report(done + part * share)


def die_with_parent() -> None:
    """End this process when the one that started it is gone, so that no orphan goes on."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        with suppress(ProcessLookupError):  # where this is no group of its own
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(143)


def ended(working: Sequence[Worker]) -> list[Worker]:
    """Take in what the workers send for a moment and return those that ended."""
    wait(
        [part for worker in working for part in (worker.connection, worker.process.sentinel)],
        timeout=0.2,
    )
    over = []
    for worker in working:
        dead = (
            not worker.process.is_alive()
        )  # before its last words are read, so that none is missed
        try:
            while worker.connection.poll():
                kind, value = worker.connection.recv()
                if kind == "progress":
                    worker.progress = value
                else:
                    worker.results[value[0]] = value[1]
        except (EOFError, OSError):  # it closed its end: it is done or dead
            worker.process.join(GRACE)
            dead = True
        if dead:  # a process that it forked and left may hold the other end of the connection
            sweep(worker.process)
            worker.process.join()
            over.append(worker)
    return over


def killed(job: Job, code: int, timeout: float | None = None) -> dict[str, Any]:
    """Record a run whose process ended with a code, not a word, or was stopped for its time of so many seconds."""
    known = {number.value: number.name for number in signal.Signals}
    ending = (
        f"was killed by {known.get(-code, f'signal {-code}')}"
        if code < 0
        else f"exited with {code}"
    )
    reason = (
        f"its process {ending}"
        if timeout is None
        else f"took longer than the {timeout:g} s of --timeout"
    )
    record = store.run_folder(job.folder, job.run.name).record()
    stopped = record.get("status") == "interrupted" and record.get("reason") != UNFINISHED
    if code == 0 and stopped and timeout is None:
        return record  # it was told to stop from outside, and said so
    return failed(job, reason)


def failed(job: Job, reason: str) -> dict[str, Any]:
    """Record that a run has failed, where no other process is at it, and return its record."""
    folder, ending = (
        store.run_folder(job.folder, job.run.name),
        {"status": "failed", "reason": reason},
    )
    with folder.locked() as mine:
        record = folder.record()
        known = (
            {} if record.get("key") == job.run.key else facts(job.run)
        )  # it may have died before it said who it is
        try:
            return folder.update(**known, **ending) if mine else {**record, **ending}
        except OSError as error:  # no room: the line on stderr is all that says so
            told(folder, error)
            return {**record, **ending}


@contextmanager
def stoppable(working: list[Worker]) -> Iterator[None]:
    """Stop the children in order on SIGINT and SIGTERM, then raise Stopped; a second signal does not wait for them."""

    def stop(signum: int, frame: Any) -> None:
        del frame
        raise Stopped(128 + signum)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        try:
            for worker in working:
                worker.process.terminate()
            for worker in working:
                worker.process.join(GRACE)
        finally:
            for worker in working:
                sweep(worker.process)
            for number, handler in before.items():
                signal.signal(number, handler)
