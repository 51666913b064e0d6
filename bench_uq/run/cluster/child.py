"""One run in a process of its own, which a worker watches; it tells progress and the result."""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_uq.run.process_end import GRACE, die_with_parent

if TYPE_CHECKING:
    from bench_uq.run.job import Job


def child(work: Mapping[str, Any], connection: Connection) -> None:
    """Do a job; send ``{"progress": share}`` and ``{"result": …}``, or ``{"unfit": reason}``."""
    # A group of its own, so that everything it starts can be killed with it.
    os.setsid()
    # The worker has blocked it for the process that this one is forked from.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
    threading.Thread(target=die_with_parent, args=(GRACE,), daemon=True).start()
    # Plugins print where they like.
    os.dup2(2, 1)
    from bench_uq.run.execute import Interrupted, execute
    from bench_uq.run.job import Job

    job = Job.from_json(work["job"])
    last = 0.0

    def report(share: float) -> None:
        nonlocal last
        # A message a second is enough for a bar, and costs the scheduler little.
        if time.monotonic() > last + 1:
            last = time.monotonic()
            connection.send({"progress": share})

    reason = unfit(job, work)
    if reason:
        connection.send({"unfit": reason})
        return
    with suppress(Interrupted):
        result = execute(job, report)
        connection.send({"result": result.to_json() if result else None})


def unfit(job: Job, work: Mapping[str, Any]) -> str:
    """Data of this machine that the run is not planned for; empty if there are none."""
    from bench_uq.api.errors import UsageError
    from bench_uq.plan.fingerprints import Contents
    from bench_uq.plan.plugins import Plugins

    plugins, contents = Plugins(job.files, lazy=True), Contents(job.root, Path(work["remembered"]))
    here = f"in {job.root} on {platform.node()}"
    try:
        for full, split, expected in work["contents"]:
            # A run of other data than it was planned for must never be stored.
            if contents.of(plugins.spec("dataset", full), split, job.run.seed).hash != expected:
                return f"{full} ({split}) {here} is not what the run is planned for"
    except UsageError as error:
        return f"{error} (on {platform.node()})"
    # Only data that fit are remembered, and need not be hashed again.
    contents.remember()
    return ""
