"""A run's work as plain data, and the part of it that is still missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_uq import store
from bench_uq.store import Evaluation, PlannedRun, Record, RunFolder
from bench_uq.train.settings import Settings


@dataclass(frozen=True)
class Job:
    """Everything that a process needs to do a run; plain data."""

    run: PlannedRun
    folder: Path  # results/<suite>
    root: Path  # of the data
    files: tuple[Path, ...]  # plugin files
    device: str
    git: str | None
    force: bool = False
    checkpoint_every: float = 60.0  # seconds

    @property
    def settings(self) -> Settings:
        """Settings of the run."""
        return Settings(**self.run.settings)

    def absolute(self) -> Job:
        """The job with absolute paths, because a plugin may change the working folder."""
        return dataclasses.replace(
            self,
            folder=self.folder.absolute(),
            root=self.root.absolute(),
            files=tuple(file.absolute() for file in self.files),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data for another process."""
        whole = self.absolute()
        return {
            **vars(whole),
            "run": whole.run.to_json(),
            "folder": str(whole.folder),
            "root": str(whole.root),
            "files": [str(file) for file in whole.files],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Job:
        """Read plain data of ``to_json``."""
        fields = {
            **value,
            "run": PlannedRun.from_json(value["run"]),
            "folder": Path(value["folder"]),
            "root": Path(value["root"]),
            "files": tuple(map(Path, value["files"])),
        }
        return cls(**fields)

    def run_folder(self, *, keep: bool = False) -> RunFolder:
        """Folder of the run; with ``keep`` its record is read once."""
        return store.run_folder(self.folder, self.run.name, keep=keep)


def complete_in(folder: RunFolder, job: Job) -> bool:
    """Whether a run's folder holds everything that is asked of it."""
    record = folder.record()
    if record.key != job.run.key or record.status != "ok":
        return False
    # Without networks they can be compared with, and no more.
    if record.kind == store.PUBLISHED:
        clean = {one.file for one in job.run.conditions if one.kind == "clean"}
        # Others were published at other draws or test images.
        asked = job.run.to_compare and clean <= set(record.files)
        return asked and all(map(folder.holds, record.files))
    # Only datasets of points in a plane have them, which the record knows without the data.
    if record.has(store.POINTS) and not folder.holds(store.POINTS):
        return False
    return is_trained(folder) and not base_changed(folder, job) and not missing(folder, job)


def surrogates(job: Job) -> set[str]:
    """Names of the runs whose networks a job attacks."""
    return {one.surrogate.name for one in job.run.shown if one.surrogate}


def bases(run: PlannedRun) -> list[PlannedRun]:
    """The run that a run starts from, that one's base, and so on."""
    found = []
    while run.base:
        run = run.base
        found.append(run)
    return found


def needed(job: Job) -> set[str]:
    """Names of the runs whose networks a job starts from or attacks."""
    names = {one.name for one in bases(job.run)}
    for one in job.run.shown:
        if one.surrogate:
            names |= {one.surrogate.name, *(base.name for base in bases(one.surrogate))}
    return names


def base_changed(folder: RunFolder, job: Job) -> bool:
    """Whether the networks that a run started from were replaced since."""
    if job.run.base is None:
        return False
    network = hash_of_network(folder_of(job.run.base.name, job, folder).record())
    return network is not None and network != folder.record().base


def folder_of(name: str, job: Job, folder: RunFolder) -> RunFolder:
    """Folder of a run that a job attacks, which may be its own; it is read once."""
    if name == job.run.name:
        return folder
    return store.run_folder(job.folder, name, keep=True)


def missing(folder: RunFolder, job: Job, *, repair: bool = False) -> list[Evaluation]:
    """Evaluations of a run that are not stored, or attacked a network that was replaced since.

    With ``repair`` damaged predictions are set aside.
    """
    # Read once per surrogate, not per evaluation, because records lie on disk.
    networks = {}
    for name in surrogates(job):
        networks[name] = hash_of_network(folder_of(name, job, folder).record())

    found, attacked = [], folder.record().surrogates
    for one in job.run.shown:
        stale = False
        if one.surrogate:
            network = networks[one.surrogate.name]
            stale = network is not None and network != attacked.get(one.file)

        # Asked in any case, because asking sets a damaged file aside.
        if not folder.holds(one.file, repair=repair) or stale:
            found.append(one)

    return found


def hash_of_network(record: Record) -> str | None:
    """Recorded hash of a run's network, or None."""
    entry = record.files.get(store.NETWORK)
    return entry.sha256 if entry else None


def is_trained(folder: RunFolder, *, repair: bool = False) -> bool:
    """Whether a run's network and training curves are stored."""
    # Both are looked at, so that with ``repair`` both are set aside.
    network = folder.holds(store.NETWORK, repair=repair)
    curves = folder.holds(store.TRAINING, repair=repair)
    return network and curves
