"""Files under results/: written whole or not at all, and checked by hash."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bench_uq.api.errors import UsageError
from bench_uq.api.names import as_written

RECORD = "run.json"
PLAN = "plan.json"

#: Hashes of the derived files, written after them. Results of older versions lack this file.
CHECKSUMS = "checksums.json"

#: Raised when the meaning of stored files changes.
SCHEMA = 1

#: First field of every stored JSON object: the hash of all that follows it.
CHECKSUM = "checksum"
SEALED = re.compile(rb'\{\n "(.{8})": "(.{64})",', re.DOTALL)

#: Bytes of a JSON file at most; a plan of 100,000 runs has a tenth of it.
LARGEST = 2**30

#: Bytes read at a time.
PART = 2**20

#: Process that holds the lock of a run.
_holder: int | None = None


class CannotWrite(OSError):
    """A file could not be written; the file in its place is unchanged."""

    def __str__(self) -> str:
        return f"cannot write {self.filename}: {self.strerror}"


class Damaged(ValueError):
    """A stored file is not as it was written; the message is one line."""


@dataclass(frozen=True)
class StoredFile:
    """Hash and size of a stored file."""

    sha256: str
    bytes: int


@contextmanager
def holding() -> Iterator[None]:
    """Note that this process holds the lock of a run, for leave_if_forked."""
    global _holder
    before = _holder if _holder == os.getpid() else None
    _holder = os.getpid()
    try:
        yield
    finally:
        leave_if_forked()  # parent and fork share the kernel's lock
        _holder = before


def leave_if_forked() -> None:
    """End this process if a plugin forked it off the holder of a run's lock.

    It would do the run a second time.
    """
    if _holder not in (None, os.getpid()):
        os._exit(0)


def write_bytes(path: Path, content: bytes | Iterable[bytes]) -> None:
    """Write a file that appears whole or not at all; raise CannotWrite if that fails.

    It is written beside, synced, renamed, and the folder is synced. Content may come in parts; an
    error while they come leaves the old file.
    """
    leave_if_forked()
    # Not the process's number: two machines that share a folder may have the same.
    partial = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")

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
        sync(path.parent)

    except CannotWrite:  # of another file, which the content comes from
        raise
    except OSError as error:
        raise CannotWrite(error.errno, error.strerror or str(error), str(path)) from error


def sync(path: Path) -> None:
    """Write a file, or the names in a folder, to disk, so that they survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def discard_partial(folder: Path, besides: Iterable[str] = ()) -> None:
    """Delete files that killed writers left; needs the lock of all who write in the folder.

    Files ``besides`` are written without that lock.
    """
    kept = tuple(f".{name}." for name in besides)
    for path in folder.glob(".*.part"):
        if not path.name.startswith(kept):
            path.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON with all digits, an object with its checksum; NaN is refused."""
    if isinstance(value, Mapping):
        value = {name: part for name, part in value.items() if name != CHECKSUM}
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"

    if not text.startswith("{\n"):
        write_bytes(path, text.encode())
        return
    rest = text[1:].encode()
    seal = hashlib.sha256(rest).hexdigest()
    write_bytes(path, f'{{\n "{CHECKSUM}": "{seal}",'.encode() + rest)


def write_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays in the order of their names, so that the same ones give the same bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(sorted(arrays.items())))  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a plain file to read; raise Damaged for a link or a pipe, which nothing waits for."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            raise Damaged("a link") from error
        raise

    # Python does not open folders, so the kind is asked first.
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise Damaged("no plain file")
    with open(number, "rb") as file:
        yield file


def parts(path: Path, expected: StoredFile) -> Iterator[bytes]:
    """Content of a file in parts; raise Damaged at its end unless it is as expected."""
    digest = hashlib.sha256()
    with opened(path) as file:
        if os.fstat(file.fileno()).st_size != expected.bytes:
            raise Damaged("damaged")
        while part := file.read(PART):
            digest.update(part)
            yield part

    if digest.hexdigest() != expected.sha256:
        raise Damaged("damaged")


def compressed(plain: Path) -> Path:
    """Path of a table that its owner has compressed by gzip."""
    return plain.with_name(f"{plain.name}.gz")


def stored(plain: Path) -> Path:
    """Path of a table, or of the compressed one where that alone is there."""
    alone = not plain.exists() and compressed(plain).exists()
    return compressed(plain) if alone else plain


def copy_table(source: Path, target: Path) -> None:
    """Make the target a copy of a table, compressed if it is; remove it if there is no table.

    Both paths are those of the plain table.
    """
    held = stored(source)
    if not held.is_file():
        # Those of another source would pass for its own.
        target.unlink(missing_ok=True)
        compressed(target).unlink(missing_ok=True)
        return
    write_table(target, held.read_bytes(), as_gzip=held != source)


def write_table(plain: Path, content: bytes, *, as_gzip: bool = False) -> None:
    """Write a table, or with ``as_gzip`` the compressed one, in place of both."""
    written, other = plain, compressed(plain)
    if as_gzip:
        written, other = other, written
    write_bytes(written, content)
    other.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unchanged(path: Path, expected: str) -> bool:
    """Whether a file has its hash; what git and editors do to the lines of text does not count."""
    if sha256(path) == expected:
        return True
    return hashlib.sha256(as_written(path.read_bytes())).hexdigest() == expected


def load_json(path: Path) -> Any:
    """Value of a JSON file; raise Damaged, FileNotFoundError, or UsageError for a newer schema."""
    with opened(path) as file:
        if os.fstat(file.fileno()).st_size > LARGEST:
            raise Damaged("too large")
        try:
            value = parsed(file.read())
        except ValueError as error:
            raise Damaged("damaged") from error

    schema = value.get("schema") if isinstance(value, dict) else None
    if isinstance(schema, int | float) and schema > SCHEMA:
        raise UsageError(
            f"{path} is of schema {schema}, which a later version of bench-uq has written; this "
            f"one reads {SCHEMA} (upgrade bench-uq, or choose another --results)"
        )
    return value


def read_json(path: Path, convert: Callable[[Any], Any] = lambda value: value) -> Any:
    """Converted value of a JSON file; None without one, or if it is damaged and set aside."""
    try:
        return convert(load_json(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        set_aside(path)
        return None


def parsed(content: bytes) -> Any:
    """Value of JSON without its checksum; raise ValueError if it is damaged.

    JSON without a checksum comes from older versions or from editors. Then only numbers and texts
    are checked.
    """
    content = as_written(content)
    seal = SEALED.match(content)
    if not seal:
        value = loaded(content)
        if isinstance(value, dict):
            value.pop(CHECKSUM, None)  # the file was edited and laid out anew
        return value

    if seal[1].decode("latin-1") != CHECKSUM:  # a bit is flipped in the word itself
        raise ValueError("its checksum has another name")
    if hashlib.sha256(content[seal.end() :]).hexdigest() != seal[2].decode("latin-1"):
        raise ValueError("its checksum does not match")
    return {name: part for name, part in loaded(content).items() if name != CHECKSUM}


def loaded(content: bytes) -> Any:
    """Value of JSON; raise ValueError for numbers that are not finite, bad texts, deep nesting."""
    try:
        value = json.loads(content.decode(), parse_float=finite, parse_constant=finite)
        # Half a surrogate pair can only come from an escape, because UTF-8 has none.
        if b"\\u" in content:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    return value


def finite(text: str) -> float:
    """Number of a text; raise ValueError if it is not finite."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a number")
    return value


def set_aside(path: Path) -> None:
    """Rename a damaged file, or whatever is in its place, to ``*.corrupt`` and say so."""
    target, count = path.with_name(path.name + ".corrupt"), 1
    # A folder cannot replace a file, nor a file a folder.
    while target.is_dir() or (path.is_dir() and os.path.lexists(target)):
        target, count = path.with_name(f"{path.name}.{count}.corrupt"), count + 1

    with suppress(FileNotFoundError):  # another process was faster
        path.replace(target)
    say(f"damaged: {path} set aside as {target.name}, it will be made again")


def say(text: str) -> None:
    """Print a line on stderr at once, so that the lines of several processes do not mix."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
