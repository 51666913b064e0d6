"""Functions that the client calls on a worker, of plain data: a run in a watched process."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from importlib import metadata
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from bench_uq import store
from bench_uq.run.cluster.child import child
from bench_uq.run.cluster.message import packed_folder, source, unpacked_folder, unpacked_job
from bench_uq.run.forkserver import context, plugins_of, preload, without_main
from bench_uq.run.job import Job, needed
from bench_uq.run.process_end import GRACE, Limit, killed, sweep
from bench_uq.run.record import Ended

#: Seconds between two looks at whether a run is still wanted.
LOOK = 0.5

#: Held while a process starts: a worker may do several runs at once, each in a thread.
starting = threading.Lock()


class Unfit(Exception):
    """The worker cannot do a run; the message says why."""


def describe(gpus: bool) -> dict[str, Any]:
    """Facts of a worker that the client needs: its source, torch and, if asked, its GPUs."""
    facts: dict[str, Any] = {**source(), "torch": metadata.version("torch")}
    if gpus:
        # In a process of its own: a worker stays small, and its runs alone hold a GPU.
        asking = "import torch; print(torch.cuda.device_count())"
        done = subprocess.run([sys.executable, "-c", asking], capture_output=True, text=True)
        facts["gpus"] = int(done.stdout) if done.returncode == 0 else 0
    return facts


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
    process, connection = started({"job": job.to_json(), **checks}, plugins_of((job,)))
    # From here on: a process starts when the imports of the one that it is forked from are done.
    limit, said = Limit(timeout), dict[str, Any]()
    try:
        for message in messages(process, connection):
            said |= message
            if "progress" in message:
                report(message["progress"])
            limit.keep(process, wanted=wanted())
        process.join(GRACE)
    finally:
        # Also after an error here, so that no run goes on unseen.
        sweep(process)
        process.join()
        connection.close()

    if "unfit" in said:
        raise Unfit(said["unfit"])
    if "result" in said:
        if said["result"] is None:
            return None
        return Ended.from_json(said["result"])
    return killed(job, process.exitcode, limit)


def started(work: Mapping[str, Any], plugins: Iterable[str]) -> tuple[Any, Connection]:
    """Start a process on some work; the connection has its messages.

    It is forked from one that has imported what runs need, with the ``plugins`` of the first.
    """
    with starting:
        make_ready(plugins)
        starter = context()
        ours, theirs = starter.Pipe(duplex=False)
        process = starter.Process(target=child, args=(work, theirs), daemon=True)
        with without_main():
            process.start()
    # While this process holds the other end too, the end of the child would not close it.
    theirs.close()
    return process, ours


def make_ready(plugins: Iterable[str]) -> None:
    """Start the process that runs are forked from, unless it is there."""
    # dask's workers are daemonic, which multiprocessing allows no children.
    multiprocessing.current_process().daemon = False
    preload(plugins)

    # Ctrl-C in the terminal of a local cluster would interrupt the imports with a traceback. The
    # process ends with its worker.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def messages(process: Any, connection: Connection) -> Iterator[dict[str, Any]]:
    """Messages of a process until it ends; an empty one now and then while it is silent."""
    while True:
        # Asked before its last messages are read, so that none is missed.
        ended = not process.is_alive()
        if not ended:
            wait([connection, process.sentinel], LOOK)
        try:
            while connection.poll():
                yield connection.recv()
        except (EOFError, OSError):
            # It closed its end: it is done or dead.
            return
        # A process that it left behind may hold the other end of the connection.
        if ended:
            return
        yield {}
