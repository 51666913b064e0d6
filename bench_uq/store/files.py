"""The only reader and writer under results/: whole files or none, checked by hash, never unpickled."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench_uq.api.errors import UsageError

RECORD = "run.json"
PLAN = "plan.json"
CHECKSUMS = "checksums.json"  # of each derived file, written after them; what other versions and hands made has none

#: Raised when the meaning of stored files changes.
SCHEMA = 1

#: The first field of every JSON object that is stored, and how such a file begins: the hash of all that comes after it.
CHECKSUM = "checksum"
SEALED = re.compile(rb'\{\n "(.{8})": "(.{64})",', re.DOTALL)

#: What the name of a run's folder, or of a file in it, may be.
PLAIN = re.compile(r"[A-Za-z0-9_][^/\0]*")

#: The process that holds the lock of a run.
_holder: int | None = None


@contextmanager
def holding() -> Iterator[None]:
    """Note that this process holds the lock of a run, for leave_if_forked."""
    global _holder
    before, _holder = _holder if _holder == os.getpid() else None, os.getpid()
    try:
        yield
    finally:
        leave_if_forked()  # parent and fork share the kernel's lock
        _holder = before


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


def sha256(path: Path) -> str:
    """Return a file's hash."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
