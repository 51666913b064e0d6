"""The folder of one run: its record, its network, its predictions."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from bench_uq.api.archives import open_npz
from bench_uq.api.errors import UsageError
from bench_uq.api.task import Predictions
from bench_uq.store.files import (
    RECORD,
    Damaged,
    StoredFile,
    holding,
    load_json,
    parts,
    read_json,
    set_aside,
    write_bytes,
    write_json,
)
from bench_uq.store.folders import unlinked
from bench_uq.store.records import NETWORK, TRAINING, Record


class RunFolder:
    """The folder of one run; with ``keep`` its record is read once, without the lock."""

    # The process that holds the run's lock reads run.json once too: nobody else may change it.

    def __init__(self, path: Path, *, keep: bool = False) -> None:
        self.path = path
        self.keep = keep
        self._held: Record | None = None

    @contextmanager
    def locked(self) -> Iterator[bool]:
        """Hold the run's lock and yield True; yield False if another process holds it."""
        locks = self.path.parent / ".locks"
        lock_path = locks / f"{self.path.name}.lock"
        # Each may have become a link since the folder of results was checked.
        for path in (self.path.parent, self.path, locks, lock_path):
            unlinked(path)

        locks.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(lock_path)
        # Nobody waits: the holder does the run, and this process goes on to the next one.
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            yield False
            return

        kept, self.keep, self._held = self.keep, True, None
        try:
            with holding():
                yield True
        finally:
            self.keep, self._held = kept, None
            lock.release()

    def record(self) -> Record:
        """The record, without a status if nothing is recorded; a damaged one is set aside."""
        if self._held is not None:
            return self._held

        found = read_json(self.path / RECORD, self._read) or Record(self.path.name)
        if self.keep:
            self._held = found
        return found

    def load(self) -> Record:
        """Read the record, and keep it; raise Damaged or FileNotFoundError."""
        self._held = self._read(load_json(self.path / RECORD))
        return self._held

    def _read(self, value: Any) -> Record:
        return Record.from_json(value, self.path.name)

    def update(self, **changes: Any) -> Record:
        """Change the record, on disk too if anything changed."""
        before = self.record()
        record = dataclasses.replace(before, **changes)
        # Every write is synced with its folder, which takes milliseconds.
        if record != before or not (self.path / RECORD).exists():
            write_json(self.path / RECORD, record.to_json())

        if self.keep:
            self._held = record
        return record

    def write_file(self, name: str, content: bytes) -> dict[str, StoredFile]:
        """Write a file; return the entry for the record, which does not name it yet."""
        # The file comes first: a record must not name what a power cut has prevented.
        write_bytes(self.path / name, content)
        return {name: StoredFile(hashlib.sha256(content).hexdigest(), len(content))}

    def add_file(self, name: str, content: bytes, **changes: Any) -> None:
        """Write a file and name it in the record."""
        entry = self.write_file(name, content)
        self.update(files={**self.record().files, **entry}, **changes)

    def write_predictions(self, name: str, predictions: Predictions) -> dict[str, StoredFile]:
        """Write predictions as npz; return the entry for the record."""
        buffer = io.BytesIO()
        arrays = {key: np.asarray(value) for key, value in predictions.arrays.items()}
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        return self.write_file(name, buffer.getvalue())

    def save_predictions(self, name: str, predictions: Predictions) -> None:
        """Write predictions and name them in the record."""
        entry = self.write_predictions(name, predictions)
        self.update(files={**self.record().files, **entry})

    def predictions(self, name: str) -> Predictions:
        """Stored predictions."""
        with open_npz(self.path / name) as arrays:
            return Predictions({key: arrays[key] for key in arrays.files})

    def holds(self, name: str, *, repair: bool = False) -> bool:
        """Whether a file is there as it was stored; with ``repair`` a damaged one is set aside."""
        # To repair needs the lock, because a writer replaces a file before its hash.
        with suppress(Damaged, OSError):
            self.check(name)
            return True

        path = self.path / name
        named = name in self.record().files
        if repair and os.path.lexists(path) and (named or not path.is_file()):
            set_aside(path)
        return False

    def check(self, name: str) -> None:
        """Read a file; raise Damaged or OSError unless it is there as it was stored."""
        entry = self.record().files.get(name)
        if entry is None:
            raise Damaged("not in the record")
        # Whether the hash is right shows at the end.
        for _ in parts(self.path / name, entry):
            pass

    def forget(self, names: Iterable[str], **changes: Any) -> None:
        """Remove files from the record, because they belong to a network that is gone."""
        # Names may be an iterator, which one look-up would exhaust.
        gone = set(names)
        kept = {name: one for name, one in self.record().files.items() if name not in gone}
        self.update(files=kept, **changes)


def run_folder(folder: Path, run: str, *, keep: bool = False) -> RunFolder:
    """Folder of a run in a suite's folder."""
    return RunFolder(folder / "runs" / run, keep=keep)


def elsewhere(folder: Path, run: str, key: str) -> RunFolder | None:
    """Another suite's folder of the same run that holds its trained network, or None."""
    for other in sorted(folder.parent.glob(f"*/runs/{run}")):
        if other.parent.parent == folder:
            continue
        found = RunFolder(other, keep=True)
        with suppress(UsageError):  # of a newer schema
            if found.record().key == key and found.holds(NETWORK) and found.holds(TRAINING):
                return found

    return None
