"""Functions that the client calls on a worker, of plain data: a run in a watched process."""

from __future__ import annotations

import json
import math
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench_uq import store
from bench_uq.run.cluster.message import (
    packed_folder,
    plain_job,
    plain_result,
    source,
    unpacked_folder,
    unpacked_job,
)
from bench_uq.run.job import Job, surrogates
from bench_uq.run.processes import GRACE, Limit, killed, sweep

#: Seconds between two looks at whether a run is still wanted.
LOOK = 0.5


class Unfit(Exception):
    """The worker cannot do a run; the message says why."""


def describe() -> dict[str, Any]:
    """Facts of a worker that the client needs: its source, torch and devices."""
    asking = "import torch; print(torch.cuda.device_count(), torch.__version__)"
    done = subprocess.run([sys.executable, "-c", asking], capture_output=True, text=True)
    gpus, torch = done.stdout.split() if done.returncode == 0 else (0, "")
    return {**source(), "torch": torch, "gpus": int(gpus)}


def shares(marker: Mapping[str, str]) -> bool:
    """Whether the client's file is on this machine too."""
    with suppress(OSError):
        return Path(marker["path"]).read_text() == marker["token"]
    return False


def do_run(packed: dict[str, Any]) -> dict[str, Any]:
    """Do a run; return its ``result``, None if another process is doing it.

    A worker that does not see the folder of results returns ``folders`` too: the contents of the
    run's folder, and of the runs whose networks it attacks, by name.
    """
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    place = Path(worker.local_directory) / "bench-uq"
    if packed["source"] != source():
        raise Unfit(
            f"{worker.address} has another bench-uq than the client: {source()['version']}, or changed files"
        )
    shared = shares(packed["marker"])
    folder = Path(packed["job"]["folder"])
    root = Path(os.environ.get("BENCH_UQ_DATA") or packed["job"]["root"])
    own = folder if shared else place / "results" / folder.name
    job = unpacked_job(packed["job"], own, root, place / "files")
    if not shared:
        for name, stored in packed["stored"].items():
            unpacked_folder(stored, store.run_folder(own, name))

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state == "executing"

    def report(share: float) -> None:
        worker.log_event(packed["topic"], {"run": job.run.name, "share": share})

    checks = {"contents": packed["contents"], "remembered": str(place / "contents.json")}
    result = watched(job, checks, packed["timeout"], report, wanted)
    if shared or result is None:
        return {"result": result}

    names = {job.run.name, *surrogates(job)}
    folders = {name: packed_folder(store.run_folder(own, name)) for name in names}
    shutil.rmtree(own / "runs" / job.run.name, ignore_errors=True)
    return {"result": result, "folders": folders}


def watched(
    job: Job,
    checks: Mapping[str, Any],
    timeout: float | None,
    report: Callable[[float], None],
    wanted: Callable[[], bool],
) -> dict[str, Any] | None:
    """Do a run in a process of its own, which is stopped when it is late or no longer wanted."""
    limit = Limit(time.monotonic() + (timeout or math.inf))
    process, said = started({"job": plain_job(job), **checks}), dict[str, Any]()
    try:
        for message in messages(process):
            said |= message
            if "progress" in message:
                report(message["progress"])
            limit.keep(process, wanted=wanted())
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    finally:
        sweep(process)
        code = process.wait()
    if "unfit" in said:
        raise Unfit(said["unfit"])
    if "result" in said:
        result: dict[str, Any] | None = said["result"]
        return result
    return plain_result(killed(job, code, timeout if limit.late else None))


def started(work: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    """Start a process and send it its work; it ends when its stdin closes, with this process."""
    command = [sys.executable, "-m", "bench_uq.run.cluster.child"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    content = json.dumps(work).encode()
    with suppress(BrokenPipeError):  # it ended at once: its code says so
        process.stdin.write(len(content).to_bytes(8, "big") + content)
        process.stdin.flush()
    return process


def messages(process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """Messages of a process until it ends; an empty one now and then while it is silent."""
    assert process.stdout is not None
    rest = b""
    while True:
        ended = (
            process.poll() is not None
        )  # asked before its last messages are read, so that none is missed
        if select.select([process.stdout], [], [], 0 if ended else LOOK)[0]:
            part = os.read(process.stdout.fileno(), 1 << 16)
            if not part:
                return
            *lines, rest = (rest + part).split(b"\n")
            yield from map(json.loads, lines)
        elif ended:  # a process that it left behind may hold the other end
            return
        yield {}
