"""Runs in processes: one per run, or one per group of networks that train as a batch."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from tqdm import tqdm

from bench_uq.api.errors import BenchUQError, Interrupted
from bench_uq.run.execute import execute
from bench_uq.run.forkserver import (
    context,
    in_main_thread,
    plugins_of,
    preload,
    signals_held,
    without_main,
)
from bench_uq.run.gpu_groups import grouped, is_group, train_group
from bench_uq.run.job import Job
from bench_uq.run.process_end import GRACE, Limit, die_with_parent, killed, sweep
from bench_uq.run.record import Ended
from bench_uq.run.waiting import Waiting, kind, wanted

#: Seconds between two looks at a run that another process is doing.
PATIENCE = 1.0


class Stopped(BenchUQError):
    """The whole command was interrupted; carries the exit code 130 or 143."""

    def __init__(self, code: int) -> None:
        super().__init__("interrupted; finished runs are kept, the same command goes on")
        self.code = code


@dataclass
class Worker:
    """A process with its jobs and their progress; a result of None: another has the run."""

    jobs: tuple[Job, ...]
    process: Any
    connection: Connection
    limit: Limit
    progress: float = 0.0
    results: dict[int, Ended | None] = field(default_factory=dict)

    def result(self, index: int) -> Ended | None:
        """Result of a job after the process has ended."""
        if index in self.results:
            return self.results[index]
        return killed(self.jobs[index], self.process.exitcode, self.limit)


def run_all(
    jobs: Sequence[Job],
    at_once: int,
    finished: Callable[[Job, Ended], None],
    timeout: float = math.inf,
) -> None:
    """Do all jobs, ``at_once`` at a time; ``finished`` is called with the result of each.

    A run that takes longer than ``timeout`` seconds is stopped and has failed. Runs that train as
    a batch have that time each.
    """
    preload(plugins_of(jobs))
    starter = context()
    waiting, working = Waiting(grouped(jobs), wanted(jobs)), list[Worker]()

    with stoppable(working), bar(len(jobs)) as progress:
        done = 0
        while waiting or working:
            while waiting and len(working) < at_once:
                with signals_held():
                    working.append(start(starter, waiting.take(), timeout))
            for worker in working:
                worker.limit.keep(worker.process)

            for worker in ended(working):
                working.remove(worker)
                for index, job in enumerate(worker.jobs):
                    result = worker.result(index)
                    # Another process has the run: look again later, in another turn.
                    if result is None:
                        time.sleep(PATIENCE)
                        waiting.put((job,))
                        continue

                    done += 1
                    waiting.seconds[kind(job)] = result.record.train_seconds or 0.0
                    # The line is for stdout, which may be the terminal of the bar.
                    progress.clear()
                    finished(job, result)

            progress.n = done + sum(worker.progress * len(worker.jobs) for worker in working)
            progress.set_description_str(", ".join(name(worker.jobs) for worker in working))


def name(jobs: Sequence[Job]) -> str:
    """Short name of jobs at work."""
    short = jobs[0].run.name.rsplit("-", 1)[0]
    if len(jobs) > 1:
        return f"{short} and {len(jobs) - 1} more"
    return short


def bar(total: int) -> tqdm[Any]:
    """Progress bar with an estimate, on stderr; silent if that is piped."""
    form = "{percentage:3.0f}%|{bar}| {n:.1f}/{total_fmt} runs [{elapsed}<{remaining}] {desc}"
    quiet = not sys.stderr.isatty()
    return tqdm(total=total, disable=quiet, bar_format=form, file=sys.stderr, dynamic_ncols=True)


def start(starter: Any, jobs: tuple[Job, ...], timeout: float = math.inf) -> Worker:
    """Start a process on jobs, with ``timeout`` seconds for each."""
    ours, theirs = starter.Pipe(duplex=False)
    process = starter.Process(target=child, args=(jobs, theirs), daemon=True)
    with without_main():
        process.start()
    # While this process holds the other end too, the end of the child would not close it.
    theirs.close()
    return Worker(jobs, process, ours, Limit(timeout, len(jobs)))


def child(jobs: tuple[Job, ...], connection: Connection) -> None:
    """Do jobs in the child process and send back the results; plugins' output goes to stderr."""
    # A group of its own, so that everything it starts can be killed with it.
    os.setsid()
    threading.Thread(target=die_with_parent, daemon=True).start()
    # Plugins print where they like; stdout is for the lines of the command.
    os.dup2(2, 1)

    def report(share: float) -> None:
        connection.send(("progress", share))

    with suppress(Interrupted):
        results, before = dict[str, Ended](), 0.0
        if is_group(jobs):
            before = 0.5
            results, jobs = train_group(jobs, lambda share: report(before * share))

        part = (1 - before) / len(jobs)
        for index, job in enumerate(jobs):
            # A default, because a closure would see the last value of the loop.
            def reported(share: float, done: float = before + index * part) -> None:
                report(done + part * share)

            result = results.get(job.run.name) or execute(job, reported)
            connection.send(("done", (index, result)))


def ended(working: Sequence[Worker]) -> list[Worker]:
    """Receive from the workers for a moment; return those that ended."""
    sources = [worker.connection for worker in working]
    sentinels = [worker.process.sentinel for worker in working]
    wait([*sources, *sentinels], timeout=0.2)

    over = []
    for worker in working:
        # Asked before its last messages are read, so that none is missed.
        dead = not worker.process.is_alive()
        try:
            receive(worker)
        except (EOFError, OSError):
            # It closed its end: it is done or dead.
            worker.process.join(GRACE)
            dead = True

        if dead:
            # A process that it forked may hold the other end of the connection.
            sweep(worker.process)
            worker.process.join()
            over.append(worker)
    return over


def receive(worker: Worker) -> None:
    """Receive all messages that a worker has sent."""
    while worker.connection.poll():
        kind, value = worker.connection.recv()
        if kind == "progress":
            worker.progress = value
        else:
            worker.results[value[0]] = value[1]


@contextmanager
def stoppable(working: list[Worker]) -> Iterator[None]:
    """Stop the children in order on SIGINT and SIGTERM, then raise Stopped.

    A second signal does not wait for them. In another thread than the main one, which alone has
    handlers of signals, the children are stopped by an exception alone.
    """

    def stop(signum: int, frame: Any) -> None:
        del frame
        raise Stopped(128 + signum)

    numbers = (signal.SIGINT, signal.SIGTERM) if in_main_thread() else ()
    before = {number: signal.signal(number, stop) for number in numbers}
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
                # A script that calls bench_uq.run gets its own handlers back.
                signal.signal(number, handler)
