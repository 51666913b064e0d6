"""Seeds of a method on a GPU, trained in one process as one batch of networks."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from bench_uq import store
from bench_uq.api.errors import one_line
from bench_uq.api.method import Method
from bench_uq.plan.plugins import Plugins
from bench_uq.run.checkpoints import GROUP, NAME, Checkpoints
from bench_uq.run.execute import interrupt
from bench_uq.run.job import Job, is_trained
from bench_uq.run.record import Ended, told
from bench_uq.run.training import (
    arithmetic_of,
    batches_of,
    clear,
    splits_of,
    store_trained,
    task_of,
    told_by,
)
from bench_uq.store import RunFolder
from bench_uq.train.batched import Outcome, train_together
from bench_uq.train.epoch import Diverged
from bench_uq.train.memory import free, of_training

#: Devices on which networks train as a batch. A CPU has nothing idle, and its results must not
#: depend on the runs beside them.
DEVICES = ("cuda",)

#: Networks in one batch at most. Beyond it small networks fill a GPU, and large ones its memory.
MOST = 32

#: Share of the free memory that the networks of a batch may take by their estimate, which leaves
#: out what libraries and the recording of a step take.
ROOM = 0.5

#: Called with the share of the work that is done.
Report = Callable[[float], None]


def grouped(jobs: Sequence[Job]) -> list[tuple[Job, ...]]:
    """Jobs in their order; on a GPU those that differ only in their seed are together."""
    groups = dict[Any, list[Job]]()
    for job in jobs:
        key: Any = job.run.name
        if is_group([job]):
            # Different settings take different steps, and cannot share a batch.
            settings = tuple(sorted(job.run.settings.items()))
            key = (job.run.method_full, job.run.dataset_full, job.run.network, settings)
        groups.setdefault(key, []).append(job)

    found = []
    for group in groups.values():
        found += [tuple(part) for part in parts(group)]
    return found


def parts(jobs: list[Job]) -> list[list[Job]]:
    """Jobs of one kind in groups of at most MOST networks."""
    if len(jobs) == 1:
        return [jobs]
    size = max(1, MOST // method_of(jobs[0]).members)
    return [jobs[start : start + size] for start in range(0, len(jobs), size)]


def is_group(jobs: Sequence[Job]) -> bool:
    """Whether there may be several networks to train as a batch: of seeds, or of an ensemble."""
    # A method with a base trains nothing of its own.
    return jobs[0].device in DEVICES and jobs[0].run.base is None


def method_of(job: Job) -> Method:
    """Method of a job."""
    method: Method = Plugins(job.files, lazy=True).spec("method", job.run.method_full).value
    return method


def train_group(jobs: tuple[Job, ...], report: Report) -> tuple[dict[str, Ended], tuple[Job, ...]]:
    """Train and store the networks of all runs that have none, as one batch.

    Return the results of runs that diverged, by name, and the jobs; runs that were trained are not
    forced again. Any other error is printed. Each run is then trained alone, where the error is
    recorded.
    """
    # The parent decides when a run is to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, interrupt)
    results: dict[str, Ended] = {}
    trained = set[str]()

    try:
        with ExitStack() as locks, arithmetic_of(jobs[0]):
            due = []
            for job in jobs:
                folder = job.run_folder()
                # All locks are held until the last network is stored.
                if locks.enter_context(folder.locked()) and is_due(job, folder):
                    due.append((job, folder))

            if len(due) * method_of(jobs[0]).members > 1:
                done = 0
                for part in parted(due):
                    share = partial(overall, report, done / len(due), len(part) / len(due))
                    results |= train_due(part, share, trained)
                    done += len(part)
    except OSError as error:
        # Probably a full disk; alone there may be space.
        told(jobs[0].run_folder(), error)

    again = []
    for job in jobs:
        forced = job.force and job.run.name not in trained
        again.append(dataclasses.replace(job, force=forced))
    return results, tuple(again)


def overall(report: Report, before: float, own: float, share: float) -> None:
    """Report the share of the whole work that is done, from that of a part."""
    report(before + own * share)


def parted(due: Sequence[tuple[Job, RunFolder]]) -> list[Sequence[tuple[Job, RunFolder]]]:
    """Runs in parts to train as one batch each: those that had begun so, then as many as fit."""
    found, rest = [], list(due)
    for job, folder in due:
        record = folder.record()
        if job.force or not record.has(GROUP) or not record.together:
            continue
        begun = [pair for pair in rest if pair[0].run.seed in record.together]
        # Without one of them it is another batch, which starts anew.
        if len(begun) == len(record.together):
            found.append(begun)
            rest = [pair for pair in rest if pair not in begun]
    return found + (fitting(rest) if rest else [])


def fitting(due: Sequence[tuple[Job, RunFolder]]) -> list[Sequence[tuple[Job, RunFolder]]]:
    """Runs in parts whose networks fit the memory of the device together."""
    first = due[0][0]
    plugins = Plugins(first.files, lazy=True)

    try:
        splits = splits_of(first, plugins)
        task, (data, _) = task_of(first, plugins, splits[0]), batches_of(first, plugins, splits)
        method = method_of(first)
        network = of_training(method, task, data, first.settings)
    except Exception:
        # It comes again where the runs are trained, which tells of it.
        return [due]

    run = network * method.members + data.inputs.nbytes
    size = max(1.0, ROOM * free(data.inputs.device) / run)
    if size >= len(due):
        return [due]
    return [due[start : start + int(size)] for start in range(0, len(due), int(size))]


def train_due(
    due: Sequence[tuple[Job, RunFolder]], report: Report, trained: set[str]
) -> dict[str, Ended]:
    """Train runs as one batch and store them; add their names to ``trained``."""
    start = time.perf_counter()
    outcomes = outcomes_of(due, report)
    seconds = (time.perf_counter() - start) / len(due)

    results = {}
    # Without outcomes the runs are left to be trained alone.
    for (job, folder), outcome in zip(due, outcomes, strict=False):
        try:
            if isinstance(outcome, Diverged):
                raise outcome
            told = told_by(method_of(job), outcome[0])
            # A resumed training counts its epochs from before the interruption too.
            whole = max(seconds, sum(row.seconds for row in outcome[1]))
            store_trained(folder, *outcome, whole, **told, together=seeds_of(due))
        except Diverged as error:
            record = folder.update(status="diverged", reason=str(error))
            results[job.run.name] = Ended(record)
        trained.add(job.run.name)
    # Not before the networks are stored.
    checkpoints_of(due).remove()
    return results


def seeds_of(due: Sequence[tuple[Job, RunFolder]]) -> list[int]:
    """Seeds of runs."""
    return [job.run.seed for job, _ in due]


def checkpoints_of(due: Sequence[tuple[Job, RunFolder]]) -> Checkpoints:
    """The checkpoint of runs that train as one batch."""
    job, folder = due[0]
    return Checkpoints(folder, job.checkpoint_every, tuple(one.run.name for one, _ in due))


def outcomes_of(due: Sequence[tuple[Job, RunFolder]], report: Report) -> list[Outcome]:
    """Outcomes of training all runs as a batch; empty if that is not possible."""
    jobs = [job for job, _ in due]
    first = jobs[0]
    plugins = Plugins(first.files, lazy=True)

    try:
        tasks, data = [], []
        for job in jobs:
            splits = splits_of(job, plugins)
            tasks.append(task_of(job, plugins, splits[0]))
            data.append(batches_of(job, plugins, splits))

        # Only now, when all data are loaded: what is stored stays if that fails.
        seeds, checkpoints = seeds_of(due), checkpoints_of(due)
        if first.force:
            checkpoints.remove()
        for job, folder in due:
            clear(job, folder)
            folder.update(together=seeds)

        return train_together(
            method_of(first),
            tasks,
            data,
            first.settings,
            seeds,
            report=report,
            checkpoints=checkpoints,
        )

    except Exception as error:
        # NotTogether, or an error of the method's own: alone it is recorded which run's it is.
        reason = one_line(error)
        store.say(f"{first.run.name} is trained alone, not with its other seeds: {reason}")
        return []


def is_due(job: Job, folder: RunFolder) -> bool:
    """Whether a run is to be trained from its start: not stored, here or elsewhere, nor begun."""
    if job.force:
        return True
    # A run with a checkpoint of its own goes on alone.
    if folder.record().has(NAME) or is_trained(folder):
        return False
    return store.elsewhere(job.folder, job.run.name, job.run.key) is None
