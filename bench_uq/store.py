"""The only reader and writer under results/: whole files or none, checked by hash, never unpickled."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from bench_uq.contracts import Predictions

RECORD = "run.json"
NETWORK = "network.safetensors"
TRAINING = "training.csv"
POINTS = "points.csv"  # examples trained on: input and target, where the input is one feature and the target real
PLAN = "plan.json"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all: beside, synced, renamed, the folder synced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_json(path: Path, value: Any) -> None:
    """Write JSON with full digits; NaN is refused."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Return a JSON file's value, or None where there is none or it is damaged, which sets it aside."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        set_aside(path)
        return None


def set_aside(path: Path) -> None:
    """Rename a damaged file to ``*.corrupt`` and say so."""
    target = path.with_name(path.name + ".corrupt")
    with suppress(FileNotFoundError):  # another process was faster
        path.replace(target)
    print(f"damaged: {path} set aside as {target.name}, it will be made again", file=sys.stderr)


def sha256(path: Path) -> str:
    """Return a file's hash."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class RunFolder:
    """The folder of one run: its record, its network, its predictions."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the run's lock and yield True, or yield False where another process holds it."""
        locks = self.path.parent / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(locks / f"{self.path.name}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def record(self) -> dict[str, Any]:
        """Return the record, empty where there is none."""
        record = read_json(self.path / RECORD)
        if record is not None and not (isinstance(record, dict) and isinstance(record.get("files"), dict)):
            set_aside(self.path / RECORD)
            return {}
        return record or {}

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
        if entry is None or not path.is_file():
            return False
        if path.stat().st_size != entry.get("bytes") or sha256(path) != entry.get("sha256"):
            if repair:
                set_aside(path)
            return False
        return True

    def forget(self, names: Iterable[str]) -> None:
        """Take files out of the record: they belong to a network that is no more."""
        gone = set(names)
        self.update(files={name: entry for name, entry in self.record().get("files", {}).items() if name not in gone})

    def save_predictions(self, name: str, predictions: Predictions) -> None:
        """Store predictions as npz."""
        buffer = io.BytesIO()
        np.savez(buffer, **{key: np.asarray(value) for key, value in predictions.arrays.items()})  # type: ignore[arg-type]
        self.add_file(name, buffer.getvalue())

    def predictions(self, name: str) -> Predictions:
        """Return stored predictions."""
        with np.load(self.path / name, allow_pickle=False) as arrays:
            return Predictions({key: arrays[key] for key in arrays.files})


def run_folder(folder: Path, run: str) -> RunFolder:
    """Return the folder of a run in a suite's folder."""
    return RunFolder(folder / "runs" / run)


def elsewhere(folder: Path, run: str, key: str) -> RunFolder | None:
    """Return another suite's folder of the same run that holds its trained network."""
    for other in sorted(folder.parent.glob(f"*/runs/{run}")):
        found = RunFolder(other)
        whole = found.holds(NETWORK) and found.holds(TRAINING)
        if other.parent.parent != folder and found.record().get("key") == key and whole:
            return found
    return None


def read_plan(folder: Path) -> dict[str, Any]:
    """Return the runs that the plans so far ask for, by ``method|dataset|seed``, and what they show."""
    plan = read_json(folder / PLAN)
    return plan if isinstance(plan, dict) and isinstance(plan.get("runs"), dict) else {"runs": {}}


def suite_lock(folder: Path) -> filelock.BaseFileLock:
    """Return the lock of a suite's plan and derived files."""
    folder.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(folder / ".lock")


def merge_plan(folder: Path, runs: Mapping[str, Any], **facts: Any) -> None:
    """Lay the newest plan over those before: one run a method, dataset and seed, the latest asked for."""
    with suite_lock(folder):
        plan = read_plan(folder)
        merged = {**plan, "schema": 1, **facts, "runs": {**plan["runs"], **runs}}
        if merged != plan:
            write_json(folder / PLAN, merged)
