"""The process that all runs are forked from; it imports what they need once."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from typing import Any

from bench_uq.api.names import plain_name
from bench_uq.plan.sources import imported_by_installed
from bench_uq.plan.suite import plugins_named
from bench_uq.run.job import Job

#: Modules that every run would take seconds to import; an optimiser imports torch._dynamo on first
#: use.
PRELOADED = ("bench_uq.run.execute", "torch._dynamo")

#: Packages of plugins that a run imports.
PLUGINS = ("bench_uq.methods", "bench_uq.datasets", "bench_uq.conditions")


def context() -> ForkServerContext:
    """How runs are started."""
    # Unlike fork it copies no threads, which torch has and which may hold locks; unlike spawn it
    # does not import torch for each run.
    return multiprocessing.get_context("forkserver")


def preload(plugins: Iterable[str]) -> None:
    """Choose the imports of the process that runs are forked from.

    Beside those of every run they are those of the plugins' files, such as scikit-learn for its
    digits. A process that is there already keeps its own.
    """
    modules = list(PRELOADED)
    for plugin in plugins:
        for package in PLUGINS:
            modules += imported_by_installed(plain_name(plugin), package)
    context().set_forkserver_preload(list(dict.fromkeys(modules)))


def plugins_of(jobs: Sequence[Job]) -> set[str]:
    """Names of the methods, datasets and conditions of jobs."""
    names = set[str]()
    for job in jobs:
        names |= {job.run.method, job.run.dataset}
        names |= {shown.condition for shown in job.run.shown}
    return names


def start_early(suite: str, methods: Sequence[str], datasets: Sequence[str]) -> None:
    """Start the process that runs of a suite are forked from; it imports while the command plans.

    ``methods`` and ``datasets`` replace those of the suite, unless they are empty.
    """
    preload(plugins_named(suite, methods, datasets))
    # Without a handler nothing is lost but a second.
    if not in_main_thread():
        return

    # Ctrl-C reaches this process too, which would print a traceback while it imports. It ends with
    # the command.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def without_main() -> Iterator[None]:
    """Hide the main script from a process that starts.

    It would import the script, and a script that calls bench_uq.run would so call it once more.
    """
    main = sys.modules["__main__"]
    hidden = {name: vars(main).pop(name, None) for name in ("__file__", "__spec__")}
    main.__spec__ = None
    try:
        yield
    finally:
        main.__spec__ = hidden["__spec__"]
        if hidden["__file__"] is not None:
            main.__file__ = hidden["__file__"]


def in_main_thread() -> bool:
    """Whether this is the one thread that sets and calls handlers of signals."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back while a process starts; they take effect after the block.

    An exception in the midst of a start would leave a process that nobody stops, and that prints a
    traceback because what it was to do never arrives. A second signal is not held.
    """
    # No start in another thread is interrupted.
    if not in_main_thread():
        yield
        return

    came = list[int]()

    def hold(signum: int, frame: Any) -> None:
        del frame
        came.append(signum)
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, hold)
    try:
        yield
    finally:
        restore()
        for held in came:
            signal.raise_signal(held)
