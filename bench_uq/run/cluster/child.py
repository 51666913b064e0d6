"""One run in a process of its own below a worker: the job comes on stdin, its progress and record leave by stdout.

``python -m bench_uq.run.cluster.child``. A worker may be a daemonic process, which multiprocessing lets have no children.
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
    """End this process, and what it started, when the worker that holds the other end of stdin is gone."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # the run records that it was interrupted
    time.sleep(GRACE)
    with suppress(ProcessLookupError):
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(143)


def main() -> None:
    """Do the job on stdin."""
    length = int.from_bytes(read(8), "big")
    plain = json.loads(read(length))
    # Plugins print where they like: their stdout is stderr, and results leave by another way.
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    threading.Thread(target=die_with_worker, daemon=True).start()
    from bench_uq.run.cluster.message import job_of, plain_result
    from bench_uq.run.execute import Interrupted, execute

    job = job_of(plain["job"])

    def tell(**message: Any) -> None:
        results.write(json.dumps(message) + "\n")
        results.flush()

    last = 0.0

    def report(share: float) -> None:
        nonlocal last
        if time.monotonic() > last + 1:
            last = time.monotonic()
            tell(progress=share)

    if found := unfit(job, plain):
        tell(unfit=found)
        return
    with suppress(Interrupted):
        tell(result=plain_result(execute(job, report)))


def unfit(job: Job, plain: Mapping[str, Any]) -> str:
    """Reason why this machine's data are not those that the run is planned for; else empty."""
    from bench_uq.api.errors import UsageError
    from bench_uq.plan.fingerprints import Contents
    from bench_uq.plan.plugins import Plugins

    plugins, contents = Plugins(job.files, lazy=True), Contents(job.root, Path(plain["remembered"]))
    try:
        for full, split, expected in plain["contents"]:
            if contents.of(plugins.spec("dataset", full), split, job.run.seed).hash != expected:
                return f"{full} ({split}) in {job.root} on {platform.node()} is not what the run is planned for"
    except UsageError as error:
        return f"{error} (on {platform.node()})"
    contents.remember()
    return ""


def read(count: int) -> bytes:
    """Bytes of stdin, past Python's buffer."""
    parts = b""
    while len(parts) < count:
        part = os.read(0, count - len(parts))
        if not part:
            raise SystemExit("the worker is gone")
        parts += part
    return parts


if __name__ == "__main__":
    main()
