"""Give the runs of a plan to the workers of a cluster, and store the results."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_uq import store
from bench_uq.api.errors import UsageError, one_line
from bench_uq.plan.fingerprints import Contents
from bench_uq.plan.plugins import Plugins
from bench_uq.run.cluster import SchedulerLost, worker
from bench_uq.run.cluster.message import packed_folder, packed_job, source, unpacked_folder
from bench_uq.run.job import Job, is_trained, needed
from bench_uq.run.process_end import GRACE, failed
from bench_uq.run.processes import PATIENCE, bar, name, stoppable
from bench_uq.run.record import Ended
from bench_uq.run.waiting import Waiting, kind, wanted

#: Seconds between two looks at the runs, and between two at the workers.
LOOK, LOOK_AT_WORKERS = 0.2, 2.0

#: Seconds without an answer after which the scheduler counts as lost.
LOST = 15.0


@contextmanager
def marked(folder: Path) -> Iterator[dict[str, str]]:
    """Write a file into a folder, by which a worker knows whether it sees the same folder."""
    # A random token, because another machine may have a file of the same name.
    token = secrets.token_hex(16)
    path = folder.absolute() / f".cluster-{token[:8]}"
    store.write_bytes(path, token.encode())
    try:
        yield {"path": str(path), "token": token}
    finally:
        path.unlink(missing_ok=True)


def look_at(client: Any, *, gpus: bool) -> bool:
    """Refuse workers with another bench-uq, and an empty cluster.

    Returns whether ``gpus`` are asked for and all workers have some.
    """
    with suppress(TimeoutError):
        # Workers may still be on their way when the command starts.
        client.wait_for_workers(1, timeout=LOST)
    found = client.run(worker.describe, gpus, on_error="return")
    if not found:
        place = client.scheduler.address
        raise UsageError(f"the scheduler at {place} has no workers: start some with dask worker")

    for address, facts in found.items():
        if isinstance(facts, BaseException):
            raise UsageError(
                f"the worker {address} cannot load this bench-uq: {one_line(facts)}"
            ) from facts
        for fact, ours in source().items():
            if facts[fact] != ours:
                raise UsageError(
                    f"the worker {address} has another bench-uq: "
                    f"its {fact} is {facts[fact]}, ours {ours}"
                )

    versions = {facts["torch"] for facts in found.values()}
    # Different versions may differ in last digits, which is no error.
    if len(versions) > 1:
        store.say(f"the workers have different torch: {', '.join(sorted(versions))}")
    return gpus and all(facts["gpus"] for facts in found.values())


@dataclass
class Handing:
    """Runs that wait and runs at work on a cluster."""

    client: Any
    marker: Mapping[str, str]
    contents: Contents
    timeout: float
    shared: bool = False  # whether all workers see the folder of results
    topic: str = field(default_factory=lambda: f"bench-uq-{secrets.token_hex(8)}")
    waiting: Waiting = field(default_factory=lambda: Waiting([], set()))
    #: Jobs that need networks which are still to be trained.
    blocked: list[Job] = field(default_factory=list)
    open: set[str] = field(default_factory=set)  # names of the runs that have not ended
    working: dict[Any, Job] = field(default_factory=dict)  # by their futures
    shares: dict[str, float] = field(default_factory=dict)  # done of the runs at work, by name

    def put(self, jobs: Sequence[Job]) -> None:
        """Add all jobs that are to be done."""
        self.open = {job.run.name for job in jobs}
        self.waiting, self.blocked = Waiting([], wanted(jobs)), list(jobs)
        self.let_go()

    def let_go(self) -> None:
        """Let jobs wait for a worker that need no network which is still to be trained."""
        jobs, self.blocked = self.blocked, []
        for job in jobs:
            if self.open & (needed(job) - {job.run.name}):
                self.blocked.append(job)
            else:
                self.waiting.put((job,))

        # Runs that attack each other would wait for ever, so the first trains what it attacks.
        if self.blocked and not self.waiting and not self.working:
            self.waiting.put((self.blocked.pop(0),))

    def ended(self, job: Job) -> None:
        """Note that a job has ended."""
        self.open.discard(job.run.name)
        if job.run.name in self.waiting.wanted or not (self.waiting or self.working):
            self.let_go()

    def hand(self, job: Job) -> None:
        """Submit a job to the cluster."""
        stored = {}
        # A worker that sees the folder of results reads them there.
        if not self.shared:
            for run in (job.run.name, *needed(job)):
                folder = store.run_folder(job.folder, run)
                if folder.record().status:
                    stored[run] = packed_folder(folder)

        work = {
            "sent": packed_job(job),
            "source": source(),
            "marker": dict(self.marker),
            "contents": expected(job, self.contents),
            "stored": stored,
            "topic": self.topic,
            "timeout": self.timeout,
        }
        # A key of its own each time: dask would give the result of an earlier task of the same key.
        key = f"{job.run.name}-{secrets.token_hex(4)}"
        self.working[self.client.submit(worker.do_run, work, key=key, pure=False)] = job


def expected(job: Job, contents: Contents) -> list[list[str]]:
    """Hashes of all data that a run depends on, each with its dataset and split."""
    plugins = Plugins(job.files)
    asked = {(job.run.dataset_full, "train"), (job.run.dataset_full, "test")}
    for evaluation in job.run.shown:
        if evaluation.kind in ("unseen", "shifted"):
            asked.add((evaluation.full, "test"))

    found = []
    for full, split in sorted(asked):
        spec = plugins.spec("dataset", full)
        # Data that are never trained on may have no training split.
        if split in spec.value.splits:
            found.append([full, split, contents.of(spec, split, job.run.seed).hash])
    return found


def run_all(
    client: Any,
    contents: Contents,
    jobs: Sequence[Job],
    at_once: int | None,
    finished: Callable[[Job, Ended], None],
    timeout: float = math.inf,
) -> None:
    """Do all jobs on the workers; ``finished`` is called with the result of each.

    Raise SchedulerLost if the scheduler no longer answers.
    """
    if not jobs:
        return

    with marked(jobs[0].folder) as marker:
        shared = client.run(worker.shares, marker).values()
        work = Handing(client, marker, contents, timeout, all(shared))
        work.put(jobs)
        hand_out(work, at_once, finished)


def hand_out(work: Handing, at_once: int | None, finished: Callable[[Job, Ended], None]) -> None:
    """Submit all waiting jobs, and store their results."""
    client = work.client
    client.subscribe_topic(
        work.topic, lambda event: work.shares.update({event[1]["run"]: event[1]["share"]})
    )
    done, room, looked, heard = 0, 0, 0.0, time.monotonic()

    with stoppable([]), bar(len(work.open)) as progress:
        try:
            while work.open:
                # The client reconnects by itself, so a short silence is no loss.
                if client.status == "running":
                    heard = time.monotonic()
                elif client.status == "closed" or time.monotonic() > heard + LOST:
                    raise SchedulerLost(
                        f"the scheduler at {client.scheduler.address} was lost; "
                        "finished runs are kept, the same command goes on"
                    )
                if heard > looked + LOOK_AT_WORKERS:
                    room, looked = look_for_room(client), heard
                    said = "no workers"
                    if room:
                        said = ", ".join(sorted(name([job]) for job in work.working.values()))
                    progress.set_description_str(said)

                # No queue on the workers: it would be lost with them, and the longest run would not
                # go first.
                while work.waiting and len(work.working) < min(room, at_once or room):
                    work.hand(*work.waiting.take())
                for job, result in ended(work):
                    done += 1
                    work.waiting.seconds[kind(job)] = result.record.train_seconds or 0.0
                    work.ended(job)
                    # The line is for stdout, which may be the terminal of the bar.
                    progress.clear()
                    finished(job, result)

                shares = [work.shares.get(job.run.name, 0.0) for job in work.working.values()]
                progress.n = done + sum(shares)
                progress.refresh()
                time.sleep(LOOK)
        finally:
            withdraw(work)


def ended(work: Handing) -> Iterator[tuple[Job, Ended]]:
    """Take in the jobs that have ended; a job to retry waits as before."""
    for future in list(work.working):
        if future.status == "pending":
            continue
        forgotten = future.status not in ("finished", "error")
        if forgotten and work.client.status != "running":
            # The scheduler may come back.
            continue

        job = work.working.pop(future)
        # The scheduler is another one, which knows nothing of the run.
        if forgotten:
            work.waiting.put((job,))
            continue

        work.shares.pop(job.run.name, None)
        result = taken_in(job, future)
        if result is None:
            time.sleep(PATIENCE)
            work.waiting.put((job,))
        else:
            yield job, result


def look_for_room(client: Any) -> int:
    """Number of runs that the workers can take; 0 if the scheduler does not answer."""
    with suppress(Exception):
        return sum(client.nthreads().values())
    return 0


def withdraw(work: Handing) -> None:
    """Cancel the runs at work, and let the workers record that they were interrupted."""
    jobs = list(work.working.values())
    if not jobs:
        return
    # The scheduler may be gone, which the workers notice too.
    with suppress(Exception):
        work.client.cancel(list(work.working), force=True)
        let_end(jobs)


def let_end(jobs: Sequence[Job]) -> None:
    """Wait until no process holds the locks of runs, at most GRACE seconds."""
    until = time.monotonic() + GRACE
    while time.monotonic() < until and not all(is_let_go(job) for job in jobs):
        time.sleep(LOOK)


def is_let_go(job: Job) -> bool:
    """Whether no process holds a run's lock."""
    with job.run_folder().locked() as mine:
        return mine


def taken_in(job: Job, future: Any) -> Ended | None:
    """Store the files of a run that has ended on a worker; return its result, or None to retry."""
    try:
        result = future.result()
        for run, packed in result.get("folders", {}).items():
            own = store.run_folder(job.folder, run)
            with own.locked() as mine:
                if not mine:
                    return None
                # A network that is attacked may have been trained here meanwhile; that one stays.
                if run == job.run.name or not is_trained(own):
                    unpacked_folder(packed, own)

        if result["result"] is None:
            return None
        return Ended.from_json(result["result"])
    except Exception as error:
        # A process whose worker has died may still be recording that it was interrupted.
        let_end([job])
        return failed(job, reason_of(error))
    finally:
        # A future that is kept would be computed again if its worker dies.
        future.release()


def reason_of(error: Exception) -> str:
    """Reason why a run has no result, in one line."""
    from distributed import KilledWorker

    if isinstance(error, KilledWorker):
        return "every worker that was at it died: it was given up"
    return one_line(error)
