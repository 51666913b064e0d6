"""A run's work as plain data, and which part of it is still missing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench_uq import store
from bench_uq.plan.runs import Run, Shown


@dataclass(frozen=True)
class Job:
    """Everything a process needs to do a run; plain data."""

    run: Run
    folder: Path  # results/<suite>
    root: Path  # of the data
    files: tuple[Path, ...]  # plugin files
    device: str
    git: str | None
    force: bool = False
    checkpoint_every: float = 60.0  # seconds


def missing(job: Job, *, repair: bool = False) -> list[Shown]:
    """Return what a run has not yet been shown; damaged predictions are missing, with ``repair`` set aside."""
    return missing_in(
        store.RecordedFolder(store.run_folder(job.folder, job.run.name).path), job, repair=repair
    )


def missing_in(folder: store.RunFolder, job: Job, *, repair: bool = False) -> list[Shown]:
    """Return what a run has not yet been shown, by its folder."""
    attacked = folder.record().get("surrogates", {})
    return [
        shown
        for shown in job.run.shown
        if not folder.holds(shown.file, repair=repair)
        or is_stale(job, shown, attacked.get(shown.file))
    ]


def is_stale(job: Job, shown: Shown, attacked: str | None) -> bool:
    """Return whether the surrogate has another network by now than the one that was attacked, by its hash."""
    network = (
        hash_of_network(store.run_folder(job.folder, shown.surrogate.name))
        if shown.surrogate
        else None
    )
    return network is not None and network != attacked


def hash_of_network(folder: store.RunFolder) -> str | None:
    """Return the recorded hash of a run's network, None where there is none."""
    entry = folder.record().get("files", {}).get(store.NETWORK)
    return entry["sha256"] if entry else None


def is_trained(folder: store.RunFolder, *, repair: bool = False) -> bool:
    """Return whether a run's network and training curves are stored."""
    return folder.holds(store.NETWORK, repair=repair) & folder.holds(store.TRAINING, repair=repair)


def complete(job: Job) -> bool:
    """Return whether a run is stored with all that is asked of it."""
    folder = store.RecordedFolder(store.run_folder(job.folder, job.run.name).path)
    record = folder.record()
    if record.get("key") != job.run.key or record.get("status") != "ok":
        return False
    kept = store.POINTS not in record["files"] or folder.holds(store.POINTS)
    return kept and not missing_in(folder, job) and is_trained(folder)
