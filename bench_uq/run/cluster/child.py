"""One run in a process below a worker: the job comes on stdin, progress and record leave by stdout.

``python -m bench_uq.run.cluster.child``. A worker may be a daemonic process, which multiprocessing
allows no children.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench_uq.run.job import Job

#: Seconds that the process has to end in order once the worker is gone.
GRACE = 10.0


def die_with_worker() -> None:
    """End this process, and all it started, when the worker at the other end of stdin is gone."""
    while os.read(0, 1):
        pass
    # A signal lets the run record that it was interrupted.
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    with suppress(ProcessLookupError):
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(143)


def main() -> None:
    """Do the job on stdin."""
    length = int.from_bytes(read(8), "big")
    work = json.loads(read(length))

    # Plugins print where they like: their stdout is stderr, and results leave by another way.
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    threading.Thread(target=die_with_worker, daemon=True).start()
    from bench_uq.run.execute import Interrupted, execute
    from bench_uq.run.job import Job

    job = Job.from_json(work["job"])
    last = 0.0

    def tell(**message: Any) -> None:
        results.write(json.dumps(message) + "\n")
        results.flush()

    def report(share: float) -> None:
        nonlocal last
        # A message a second is enough for a bar, and costs the scheduler little.
        if time.monotonic() > last + 1:
            last = time.monotonic()
            tell(progress=share)

    reason = unfit(job, work)
    if reason:
        tell(unfit=reason)
        return
    with suppress(Interrupted):
        result = execute(job, report)
        tell(result=result.to_json() if result else None)


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


def read(count: int) -> bytes:
    """Read so many bytes of stdin, past Python's buffer."""
    content = b""
    while len(content) < count:
        part = os.read(0, count - len(content))
        if not part:
            raise SystemExit("the worker is gone")
        content += part
    return content


if __name__ == "__main__":
    main()
