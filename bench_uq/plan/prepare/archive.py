"""Archives laid out beside themselves, each file whole or not at all, none outside the folder."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from shutil import rmtree
from typing import Any, BinaryIO

from bench_uq.api.archives import limit
from bench_uq.plan.prepare.download import Failed, size, sync
from bench_uq.store.folders import followed

#: How compressed archives begin.
OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
#: What reading a damaged archive raises; the last two of headers that name absurd sizes, or each other.
DAMAGED = (
    *(tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, ValueError),
    *(OverflowError, RecursionError),
)
#: Bytes that any archive may unpack to; larger ones as many times their own size as all data may.
MOST = 1 << 30


class Rationed(io.RawIOBase):
    """A stream of which no more than so many bytes are read, skipped ones included."""

    def __init__(self, stream: BinaryIO, largest: int) -> None:
        self.stream, self.largest = stream, largest

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it can be gone to anywhere."""
        return True

    def tell(self) -> int:
        """Return where it is."""
        return self.stream.tell()

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, which is within the limit."""
        return self.stream.seek(self.within(place) if whence == io.SEEK_SET else place, whence)

    def read(self, count: int = -1) -> bytes:
        """Return the next bytes."""
        self.within(self.tell() + max(count, 0))  # before so much room is made for them
        return self.stream.read(count)

    def within(self, place: int) -> int:
        """Return a place, refusing one beyond the limit."""
        if place > self.largest:
            raise Failed(f"unpacks to more than {self.largest:,} bytes")
        return place


def unpacked(archive: Path) -> bool:
    """Return whether every file of an archive is there with its size."""
    with readable(archive) as tar:
        files = [
            (archive.parent / member.name, member.size)
            for member in members(tar)
            if member.isfile()
        ]
    return all(path.is_file() and size(path) == length for path, length in files)


def unpack(archive: Path) -> None:
    """Lay out an archive's files: first all in a folder beside, then each renamed into place."""
    folder = archive.with_name(f".{archive.name}.unpacked")
    clear(folder)
    try:
        with readable(archive) as tar:
            tar.extractall(folder, members(tar), filter="data")
        for path in sorted(Path(top, name) for top, _, names in os.walk(folder) for name in names):
            beside = archive.parent / path.relative_to(folder)
            followed(beside.parent).mkdir(parents=True, exist_ok=True)
            sync(path)
            path.replace(beside)
            sync(beside.parent)
    finally:
        clear(folder)


def clear(folder: Path) -> None:
    """Delete a folder, if any; of a link the link alone."""
    if folder.is_symlink():
        folder.unlink()
    rmtree(folder, ignore_errors=True)


def members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield what is in an archive: files and folders, nothing that lies or leads elsewhere or is a device."""
    for member in tar:
        if PurePosixPath(member.name).is_absolute() or ".." in PurePosixPath(member.name).parts:
            raise Failed(f"{member.name!r} would lie outside of the folder")
        if not (member.isfile() or member.isdir()):
            raise Failed(f"{member.name!r} is neither a file nor a folder")
        yield member


@contextmanager
def readable(archive: Path) -> Iterator[tarfile.TarFile]:
    """Open an archive, telling one that is damaged, too large or reaches outside its folder in one line."""
    try:
        with archive.open("rb") as plain:
            begins = plain.read(2)
            plain.seek(0)
            opened = OPENERS[begins](plain) if begins in OPENERS else plain
            rationed = Rationed(opened, limit(archive.stat().st_size, MOST))
            with tarfile.open(fileobj=rationed, mode="r:") as tar:
                yield tar
    except tarfile.ReadError as error:
        raise Failed(f"{archive.name}: no tar archive, or a damaged one") from error
    except Failed as error:
        raise Failed(f"{archive.name}: {error}") from error
    except DAMAGED as error:
        raise Failed(f"{archive.name}: {error}") from error
