"""Runs scored while others still train: the scores of a suite are then soon complete.

In a process of their own, because scores take a core's time that trainings would wait for.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench_uq import store
from bench_uq.plan.plugins import Plugins
from bench_uq.run.forkserver import context, signals_held, without_main
from bench_uq.run.process_end import GRACE, die_with_parent, sweep


@contextmanager
def beside(folder: Path, files: tuple[Path, ...] = ()) -> Iterator[Callable[[str], None]]:
    """A function that has a planned run scored, by its name.

    ``files`` are the user's plugins. What is not scored at the end of the block is left to
    ``score``.
    """
    started = list[tuple[Any, Connection]]()

    def scored(name: str) -> None:
        # Not before: a suite that is stored has nothing to score.
        if not started:
            with signals_held():
                started.append(start(folder, files))
        # A process that died is no loss: ``score`` does its work.
        with suppress(OSError):
            started[0][1].send(name)

    try:
        yield scored
    finally:
        for process, connection in started:
            connection.close()
            process.terminate()
            process.join(GRACE)
            sweep(process)


def start(folder: Path, files: tuple[Path, ...]) -> tuple[Any, Connection]:
    """Start the process; the connection takes names."""
    starter = context()
    theirs, ours = starter.Pipe(duplex=False)
    process = starter.Process(target=serve, args=(theirs, folder, files), daemon=True)
    with without_main():
        process.start()
    # While this process holds the other end too, the end of that one would not close it.
    theirs.close()
    return process, ours


def leave(signum: int, frame: Any) -> None:
    """End on a signal by an exception, without a word."""
    del signum, frame
    # It may come while an object is half made, such as an archive, whose end then complains.
    sys.unraisablehook = lambda unraisable: None
    sys.exit(0)


def serve(connection: Connection, folder: Path, files: tuple[Path, ...]) -> None:
    """Score the runs whose names arrive, and end with the connection."""
    # Signals of the terminal are for the parent, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Until something can be written it dies at once: the import of a plugin would take an exception
    # for one of the plugin's.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.setsid()
    threading.Thread(target=die_with_parent, daemon=True).start()
    # What plugins print is not for the stdout of the command.
    os.dup2(2, 1)

    # On use: the process loads what scores are made with while the first runs train.
    from bench_uq.score.run_scores import Scoring, scored

    plan = store.read_plan(folder)
    runs = {run.name: run for run in plan.runs.values()}
    scoring, waiting = Scoring.by(Plugins(files), plan.about), deque[str]()
    # From here on an exception, so that no part of a file is left.
    signal.signal(signal.SIGTERM, leave)

    while True:
        # All names that are there, so that the end is seen before the next run is scored.
        while not waiting or connection.poll():
            try:
                waiting.append(connection.recv())
            except EOFError:
                return

        name = waiting.popleft()
        # What goes wrong here goes wrong again in ``score``, which says so.
        with suppress(Exception):
            scored(store.run_folder(folder, name, keep=True), runs[name], scoring)
