"""The only reader and writer under results/: whole files or none, checked by hash, never unpickled."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from bench_uq.compressed import open_npz
from bench_uq.contracts import Predictions
from bench_uq.errors import UsageError
from bench_uq.folders import unlinked

RECORD = "run.json"
NETWORK = "network.safetensors"
TRAINING = "training.csv"
POINTS = "points.csv"  # examples trained on: input and target, where the input is one feature and the target real
PLAN = "plan.json"
CHECKSUMS = "checksums.json"  # of each derived file, written after them; what other versions and hands made has none

#: Raised when the meaning of stored files changes.
SCHEMA = 1
#: The first field of every JSON object that is stored, and how such a file begins: the hash of all that comes after it.
CHECKSUM = "checksum"
SEALED = re.compile(rb'\{\n "(.{8})": "(.{64})",', re.DOTALL)
#: What the name of a run's folder, or of a file in it, may be.
PLAIN = re.compile(r"[A-Za-z0-9_][^/\0]*")
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


#: The process that holds the lock of a run.
_holder: int | None = None


def leave_if_forked() -> None:
    """End a process that a plugin has forked off the one that holds a run's lock: it would do the run once more."""
    if _holder not in (None, os.getpid()):
        os._exit(0)


class CannotWrite(OSError):
    """A file could not be written, for want of room or else; what stood in its place is as it was."""

    def __str__(self) -> str:
        return f"cannot write {self.filename}: {self.strerror}"


def write_bytes(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file that appears whole or not at all: beside, synced, renamed, the folder synced; raise CannotWrite.

    Content may come in parts; what raises while they come leaves the old file.
    """
    leave_if_forked()
    partial = path.with_name(
        f".{path.name}.{os.urandom(4).hex()}.part"
    )  # processes have one number on two machines
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("xb") as file:
                file.writelines([content] if isinstance(content, bytes) else content)
                file.flush()
                os.fsync(file.fileno())
            if path.is_dir():
                set_aside(path)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except CannotWrite:  # of another file, which this one's content comes from
        raise
    except OSError as error:
        raise CannotWrite(error.errno, error.strerror or str(error), str(path)) from error


def discard_partial(folder: Path, besides: Iterable[str] = ()) -> None:
    """Delete what writers that were killed have left in a folder; only under the lock of all that write there.

    Files ``besides`` are written without that lock.
    """
    kept = tuple(f".{name}." for name in besides)
    for path in folder.glob(".*.part"):
        if not path.name.startswith(kept):
            path.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON with full digits, an object with its checksum; NaN is refused."""
    if isinstance(value, Mapping):
        value = {name: part for name, part in value.items() if name != CHECKSUM}
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
    if text.startswith("{\n"):
        rest = text[1:].encode()
        write_bytes(
            path, f'{{\n "{CHECKSUM}": "{hashlib.sha256(rest).hexdigest()}",'.encode() + rest
        )
    else:
        write_bytes(path, text.encode())


def parsed(content: bytes) -> Any:
    """Return the value of JSON, its checksum looked at and left out; raise ValueError where it is damaged.

    What older versions have written, and hands, has no checksum: there every number is finite, every text fit to be
    written, and no more is known.
    """
    seal = SEALED.match(content)
    if seal:  # also where a bit is flipped in the word itself
        if seal[1].decode("latin-1") != CHECKSUM:
            raise ValueError("its checksum has another name")
        if hashlib.sha256(content[seal.end() :]).hexdigest() != seal[2].decode("latin-1"):
            raise ValueError("its checksum is another one")
        return {name: part for name, part in loaded(content).items() if name != CHECKSUM}
    value = loaded(content)
    if isinstance(value, dict):
        value.pop(CHECKSUM, None)  # someone wrote the file anew, with what had been in it
    return value


def loaded(content: bytes) -> Any:
    """Return the value of JSON; raise ValueError where a number is not finite, a text no text, or nesting too deep."""
    try:
        value = json.loads(content.decode(), parse_float=finite, parse_constant=finite)
        if b"\\u" in content:  # half a surrogate pair can only come of a code, as UTF-8 has none
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:  # of brackets nested by the thousand
        raise ValueError("it is nested too deep") from error
    return value


def finite(text: str) -> float:
    """Return a number; raise ValueError where it is not finite."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number")
    return value


def read_json(path: Path) -> Any:
    """Return a JSON file's value, or None where there is none or it is damaged, which sets it aside."""
    if not os.path.lexists(path):
        return None
    try:
        value = parsed(path.read_bytes()) if path.is_file() else None  # a pipe would be waited for
    except FileNotFoundError:
        return None
    except ValueError:
        value = None
    if value is None:
        set_aside(path)
    return value


def set_aside(path: Path) -> None:
    """Rename a damaged file, or what is in its place, to ``*.corrupt`` and say so."""
    target, count = path.with_name(path.name + ".corrupt"), 1
    while target.is_dir() or (
        path.is_dir() and os.path.lexists(target)
    ):  # neither takes the place of the other
        target, count = path.with_name(f"{path.name}.{count}.corrupt"), count + 1
    with suppress(FileNotFoundError):  # another process was faster
        path.replace(target)
    say(f"damaged: {path} set aside as {target.name}, it will be made again")


def say(text: str) -> None:
    """Print a line on stderr at once, so that processes that share it do not write into each other's lines."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def refuse_newer(path: Path, value: Any) -> None:
    """Refuse what a later version of bench-uq has stored in a way that this one cannot know."""
    schema = value.get("schema") if isinstance(value, dict) else None
    if isinstance(schema, int | float) and schema > SCHEMA:
        raise UsageError(
            f"{path} is of schema {schema}, which a later version of bench-uq has written; this one reads {SCHEMA} "
            "(upgrade bench-uq, or choose another --results)"
        )


def check_schema(folder: Path, runs: Iterable[str] = ()) -> None:
    """Refuse a suite's folder of which the plan, or one of these runs, is of a newer schema; changes nothing."""
    for path in (folder / PLAN, *(folder / "runs" / run / RECORD for run in runs)):
        if path.is_file():
            with suppress(
                ValueError, FileNotFoundError
            ):  # a damaged one is told of where it is read to be used
                refuse_newer(path, parsed(path.read_bytes()))


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
        global _holder
        locks = unlinked(self.path.parent / ".locks")
        locks.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(unlinked(locks / f"{self.path.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            yield False
            return
        before, _holder = _holder if _holder == os.getpid() else None, os.getpid()
        try:
            yield True
        finally:
            leave_if_forked()  # the lock is one for both processes
            _holder = before
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


def is_plan(plan: Any) -> bool:
    """Return whether this is a plan: runs by ``method|dataset|seed``, with what each is shown."""
    runs = plan.get("runs") if isinstance(plan, dict) else None
    return isinstance(runs, dict) and all(map(is_planned, runs.values()))


def is_planned(entry: Any) -> bool:
    """Return whether this is a run of a plan, and stays inside of its folder."""
    match entry:
        case {
            "run": str(run),
            "method": str(),
            "dataset": str(),
            "seed": int(),
            "shown": list(shown),
        }:
            command = entry.get("command")
            return (
                bool(PLAIN.fullmatch(run))
                and isinstance(command, str | None)
                and all(map(is_shown, shown))
            )
    return False


def is_shown(one: Any) -> bool:
    """Return whether this says what a run is shown, and in which file it is stored."""
    match one:
        case {
            "condition": str(),
            "kind": str(),
            "level": int() | float() | None,
            "file": str(file),
        }:
            return bool(PLAIN.fullmatch(file))
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


def read_plan(folder: Path) -> dict[str, Any]:
    """Return the runs that the plans so far ask for, by ``method|dataset|seed``, and what they show."""
    path = folder / PLAN
    plan = read_json(path)
    refuse_newer(path, plan)
    if plan is None or is_plan(plan):
        return plan or {"runs": {}}
    set_aside(path)
    return {"runs": {}}


def suite_lock(folder: Path) -> filelock.BaseFileLock:
    """Return the lock of a suite's plan and derived files."""
    folder.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(unlinked(folder / ".lock"))


def merge_plan(folder: Path, runs: Mapping[str, Any], **facts: Any) -> None:
    """Lay the newest plan over those before: one run a method, dataset and seed, the latest asked for."""
    with suite_lock(folder):
        discard_partial(folder, besides=["reference.csv"])
        plan = read_plan(folder)
        merged = {**plan, "schema": SCHEMA, **facts, "runs": {**plan["runs"], **runs}}
        if merged != plan:
            write_json(folder / PLAN, merged)
