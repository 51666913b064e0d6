"""The process that all runs are forked from; it imports what they need once."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext

#: Modules that every run would take seconds to import: an optimiser imports torch._dynamo on first
#: use, and datasets scikit-learn and matplotlib.
PRELOADED = [
    "bench_uq.run.execute",
    "torch._dynamo",
    "sklearn.datasets",
    "sklearn.model_selection",
    "matplotlib.textpath",
]


def context() -> ForkServerContext:
    """How runs are started."""
    # Unlike fork it copies no threads, which torch has and which may hold locks; unlike spawn it
    # does not import torch for each run.
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(PRELOADED)
    return found


def start_early() -> None:
    """Start the process that runs are forked from; it imports while the command plans."""
    context()
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
