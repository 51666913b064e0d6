"""The process that all runs are forked from; it imports what they need once."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterable, Sequence
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

from bench_uq.api.names import plain_name
from bench_uq.plan.sources import imported_by_installed
from bench_uq.plan.suite import plugins_named

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


def start_early(suite: str, methods: Sequence[str], datasets: Sequence[str]) -> None:
    """Start the process that runs of a suite are forked from; it imports while the command plans.

    ``methods`` and ``datasets`` replace those of the suite, unless they are empty.
    """
    preload(plugins_named(suite, methods, datasets))
    # A handler can be set from the main thread alone; without one nothing is lost but a second.
    if threading.current_thread() is not threading.main_thread():
        return

    # Ctrl-C reaches this process too, which would print a traceback while it imports. It ends with
    # the command.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        forkserver.ensure_running()
    finally:
        signal.signal(signal.SIGINT, before)
