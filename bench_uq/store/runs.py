"""The folder of one run: its record, its network, its predictions."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from bench_uq.api.archives import open_npz
from bench_uq.api.errors import UsageError
from bench_uq.api.task import Predictions
from bench_uq.store import files
from bench_uq.store.files import (
    PLAIN,
    PLAN,
    RECORD,
    parsed,
    read_json,
    refuse_newer,
    set_aside,
    sha256,
    write_bytes,
    write_json,
)
from bench_uq.store.folders import unlinked

NETWORK = "network.safetensors"
TRAINING = "training.csv"
POINTS = "points.csv"  # examples trained on: input and target, where the input is one feature and the target real
STATUSES = ("ok", "failed", "diverged", "oom", "interrupted")

#: What fields of a record hold where they are there. Null is as good as none, but where another field rests on it.
FIELDS: dict[str, Any] = {
    **dict.fromkeys(
        ("run", "key", "method", "method_full", "dataset", "dataset_full", "reason", "traceback"),
        str,
    ),
    **dict.fromkeys(
        ("identity", "settings", "predict_seconds", "surrogates", "sources", "environment"), dict
    ),
    **dict.fromkeys(("train_seconds", "peak_memory", "parameters"), int | float),
    "seed": int,
    "converged": bool,
}
NEVER_NULL = {
    "run",
    "key",
    "identity",
    "settings",
    "predict_seconds",
    "surrogates",
    "sources",
    "seed",
}


def check_schema(folder: Path, runs: Iterable[str] = ()) -> None:
    """Refuse a suite's folder of which the plan, or one of these runs, is of a newer schema; changes nothing."""
    for path in (folder / PLAN, *(folder / "runs" / run / RECORD for run in runs)):
        if path.is_file():
            with suppress(
                ValueError, FileNotFoundError
            ):  # a damaged one is told of where it is read to be used
                refuse_newer(path, parsed(path.read_bytes()))


class RunFolder:
    """The folder of one run: its record, its network, its predictions."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the run's lock and yield True, or yield False where another process holds it."""
        locks = unlinked(self.path.parent / ".locks")
        locks.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(unlinked(locks / f"{self.path.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            yield False
            return
        try:
            with files.holding():
                yield True
        finally:
            lock.release()

    def record(self) -> dict[str, Any]:
        """Return the record, empty where there is none; one that is none of this run's is set aside."""
        path = self.path / RECORD
        record = read_json(path)
        refuse_newer(path, record)
        if record is None or is_record(record, self.path.name):
            return record or {}
        set_aside(path)
        return {}

    def update(self, **changes: Any) -> dict[str, Any]:
        """Change the record and return it."""
        record = {"files": {}, **self.record(), **changes}
        write_json(self.path / RECORD, record)
        return record

    def add_file(self, name: str, content: bytes, **changes: Any) -> None:
        """Store a file and its hash in the record."""
        write_bytes(self.path / name, content)
        entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        self.update(files={**self.record().get("files", {}), name: entry}, **changes)

    def holds(self, name: str, *, repair: bool = False) -> bool:
        """Return whether a file is there as it was stored.

        With ``repair`` a damaged one is set aside: only under the lock, as a writer replaces a file before its hash.
        """
        entry = self.record().get("files", {}).get(name)
        path = self.path / name
        if not path.is_file():
            if repair and os.path.lexists(path):  # a folder, or a pipe
                set_aside(path)
            return False
        if entry is None:
            return False
        if path.stat().st_size != entry["bytes"] or sha256(path) != entry["sha256"]:
            if repair:
                set_aside(path)
            return False
        return True

    def forget(self, names: Iterable[str]) -> None:
        """Take files out of the record: they belong to a network that is no more."""
        gone = set(names)
        self.update(
            files={
                name: entry
                for name, entry in self.record().get("files", {}).items()
                if name not in gone
            }
        )

    def save_predictions(self, name: str, predictions: Predictions) -> None:
        """Store predictions as npz."""
        buffer = io.BytesIO()
        np.savez(buffer, **{key: np.asarray(value) for key, value in predictions.arrays.items()})  # type: ignore[arg-type]
        self.add_file(name, buffer.getvalue())

    def predictions(self, name: str) -> Predictions:
        """Return stored predictions."""
        with open_npz(self.path / name) as arrays:
            return Predictions({key: arrays[key] for key in arrays.files})


class RecordedFolder(RunFolder):
    """The folder of a run whose record is read once: for what never changes it."""

    def record(self) -> dict[str, Any]:
        """Return the record as it was when it was first asked for, empty where there is none."""
        return self._record

    @cached_property
    def _record(self) -> dict[str, Any]:
        return super().record()


def is_record(record: Any, run: str) -> bool:
    """Return whether this is the record of a run, as far as anything is read of it."""
    if not isinstance(record, dict) or record.get("run", run) != run:
        return False
    for name, kind in FIELDS.items():
        value = record.get(name)
        if value is None:
            if name in record and name in NEVER_NULL:
                return False
        elif not isinstance(value, kind) or isinstance(value, bool) != (kind is bool):
            return False
    seconds = record.get("predict_seconds", {}).values()
    return (
        record.get("status", "ok") in STATUSES
        and isinstance(record.get("files"), dict)
        and all(
            PLAIN.fullmatch(name) and is_entry(entry) for name, entry in record["files"].items()
        )
        and all(isinstance(value, int | float) for value in seconds)
        and all(isinstance(value, str | None) for value in record.get("surrogates", {}).values())
        and all(isinstance(value, dict) for value in record.get("sources", {}).values())
    )


def is_entry(entry: Any) -> bool:
    """Return whether this says what a file holds."""
    match entry:
        case {"sha256": str(), "bytes": int()}:
            return True
    return False


def run_folder(folder: Path, run: str) -> RunFolder:
    """Return the folder of a run in a suite's folder."""
    return RunFolder(unlinked(unlinked(folder / "runs") / run))


def elsewhere(folder: Path, run: str, key: str) -> RunFolder | None:
    """Return another suite's folder of the same run that holds its trained network."""
    for other in sorted(folder.parent.glob(f"*/runs/{run}")):
        found = RunFolder(other)
        if other.parent.parent == folder:
            continue
        with suppress(UsageError):  # of a newer schema
            if found.record().get("key") == key and found.holds(NETWORK) and found.holds(TRAINING):
                return found
    return None
