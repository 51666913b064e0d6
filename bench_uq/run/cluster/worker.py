"""Functions that the client calls on a worker, of plain data: a run in a watched process."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench_uq import store
from bench_uq.run.cluster.message import packed_folder, source, unpacked_folder, unpacked_job
from bench_uq.run.job import Job, needed
from bench_uq.run.processes import GRACE, Limit, killed, sweep
from bench_uq.run.record import Ended

#: Seconds between two looks at whether a run is still wanted.
LOOK = 0.5


class Unfit(Exception):
    """The worker cannot do a run; the message says why."""


def describe() -> dict[str, Any]:
    """Facts of a worker that the client needs: its source, torch and devices."""
    asking = "import torch; print(torch.cuda.device_count(), torch.__version__)"
    done = subprocess.run([sys.executable, "-c", asking], capture_output=True, text=True)
    found = {"torch": "", "gpus": 0}
    if done.returncode == 0:
        gpus, version = done.stdout.split()
        found = {"torch": version, "gpus": int(gpus)}
    return {**source(), **found}


def shares(marker: Mapping[str, str]) -> bool:
    """Whether the client's file is on this machine too."""
    with suppress(OSError):
        return Path(marker["path"]).read_text() == marker["token"]
    return False


def do_run(work: dict[str, Any]) -> dict[str, Any]:
    """Do a run; return its ``result``, None if another process is doing it.

    A worker that does not see the folder of results returns ``folders`` too: the contents of the
    run's folder, and of the runs whose networks it attacks, by name.
    """
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    place = Path(worker.local_directory) / "bench-uq"
    # Two versions must never meet in one table.
    if work["source"] != source():
        version = source()["version"]
        raise Unfit(
            f"{worker.address} has another bench-uq than the client: {version}, or changed files"
        )

    shared, planned = shares(work["marker"]), work["sent"]["job"]
    folder = Path(planned["folder"])
    if not shared:
        folder = place / "results" / folder.name
    # The data may lie elsewhere on this machine.
    root = Path(os.environ.get("BENCH_UQ_DATA") or planned["root"])
    job = unpacked_job(work["sent"], folder, root, place / "files")
    # None are sent if the folder is shared.
    for name, stored in work["stored"].items():
        unpacked_folder(stored, store.run_folder(folder, name))

    def wanted() -> bool:
        task = worker.state.tasks.get(key)
        # A task that the client cancelled is forgotten, or in another state.
        return task is not None and task.state == "executing"

    def report(share: float) -> None:
        worker.log_event(work["topic"], {"run": job.run.name, "share": share})

    checks = {"contents": work["contents"], "remembered": str(place / "contents.json")}
    result = watched(job, checks, work["timeout"], report, wanted)
    if result is None:
        return {"result": None}
    if shared:
        return {"result": result.to_json()}

    # Networks of other runs that were trained here travel back too.
    names = {job.run.name, *needed(job)}
    folders = {name: packed_folder(store.run_folder(folder, name)) for name in names}
    # The client stores the files; those of other runs stay for the next run.
    shutil.rmtree(folder / "runs" / job.run.name, ignore_errors=True)
    return {"result": result.to_json(), "folders": folders}


def watched(
    job: Job,
    checks: Mapping[str, Any],
    timeout: float,
    report: Callable[[float], None],
    wanted: Callable[[], bool],
) -> Ended | None:
    """Do a run in a process of its own, which is stopped when it is late or no longer wanted."""
    limit = Limit(timeout)
    process, said = started({"job": job.to_json(), **checks}), dict[str, Any]()
    try:
        for message in messages(process):
            said |= message
            if "progress" in message:
                report(message["progress"])
            limit.keep(process, wanted=wanted())
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    finally:
        # Also after an error here, so that no run goes on unseen.
        sweep(process)
        code = process.wait()

    if "unfit" in said:
        raise Unfit(said["unfit"])
    if "result" in said:
        if said["result"] is None:
            return None
        return Ended.from_json(said["result"])
    return killed(job, code, limit)


def started(work: Mapping[str, Any]) -> subprocess.Popen[bytes]:
    """Start a process and send it its work; it ends when its stdin closes, with this process."""
    command = [sys.executable, "-m", "bench_uq.run.cluster.child"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    content = json.dumps(work).encode()
    # It ended at once, and its exit code says so.
    with suppress(BrokenPipeError):
        process.stdin.write(len(content).to_bytes(8, "big") + content)
        process.stdin.flush()
    return process


def messages(process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """Messages of a process until it ends; an empty one now and then while it is silent."""
    assert process.stdout is not None
    rest = b""

    while True:
        # Asked before its last messages are read, so that none is missed.
        ended = process.poll() is not None
        if select.select([process.stdout], [], [], 0 if ended else LOOK)[0]:
            part = os.read(process.stdout.fileno(), 1 << 16)
            if not part:
                return
            # A read may end in the middle of a line.
            *lines, rest = (rest + part).split(b"\n")
            yield from map(json.loads, lines)
        elif ended:
            # A process that it left behind may hold the other end of the pipe.
            return
        yield {}
