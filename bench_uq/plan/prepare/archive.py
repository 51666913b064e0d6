"""Unpack archives beside themselves, each file whole or not at all, none outside the folder."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from shutil import rmtree
from typing import Any, BinaryIO

from bench_uq.api.archives import limit
from bench_uq.plan.prepare.download import Failed, size
from bench_uq.store.files import sync

#: First bytes of compressed archives.
OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}

#: Errors of a damaged archive. The last two come from headers with absurd sizes, or with links
#: to each other.
DAMAGED = (
    *(tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, ValueError),
    *(OverflowError, RecursionError),
)

#: Bytes that any archive may unpack to. A larger archive may unpack to a multiple of its own size.
MOST = 1 << 30


class Rationed:
    """A stream with a limit on the bytes that are read or skipped, as tarfile reads it."""

    def __init__(self, stream: BinaryIO, largest: int) -> None:
        self.stream, self.largest = stream, largest

    def tell(self) -> int:
        """Current position."""
        return self.stream.tell()

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position within the limit."""
        # To skip in a compressed stream is to unpack what lies between.
        if whence == io.SEEK_SET:
            self.within(place)
        return self.stream.seek(place, whence)

    def read(self, count: int = -1) -> bytes:
        """Next bytes."""
        # Before the read, because that would allocate the memory.
        self.within(self.tell() + max(count, 0))
        return self.stream.read(count)

    def within(self, place: int) -> None:
        """Refuse a position beyond the limit."""
        if place > self.largest:
            raise Failed(f"unpacks to more than {self.largest:,} bytes")


def unpacked(archive: Path) -> bool:
    """Whether every file of an archive is there with its size."""
    with readable(archive) as tar:
        for member in members(tar):
            path = archive.parent / member.name
            if member.isfile() and not (path.is_file() and size(path) == member.size):
                return False

    return True


def unpack(archive: Path) -> None:
    """Unpack an archive into a folder beside it, then rename each file into place."""
    folder = archive.with_name(f".{archive.name}.unpacked")
    clear(folder)
    try:
        with readable(archive) as tar:
            # The filter also strips what members() does not look at, such as set-user-ID bits.
            tar.extractall(folder, members(tar), filter="data")

        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            beside = archive.parent / path.relative_to(folder)
            beside.parent.mkdir(parents=True, exist_ok=True)
            sync(path)
            # Each file is whole when it appears, though the archive may be cut.
            path.replace(beside)
            sync(beside.parent)
    finally:
        clear(folder)


def clear(folder: Path) -> None:
    """Delete a folder if it exists; of a link only the link."""
    if folder.is_symlink():
        # rmtree refuses links, and what a link leads to is somebody else's.
        folder.unlink()
    rmtree(folder, ignore_errors=True)


def members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Files and folders of an archive; refuse links, devices and paths outside the folder."""
    for member in tar:
        if PurePosixPath(member.name).is_absolute() or ".." in PurePosixPath(member.name).parts:
            raise Failed(f"{member.name!r} would lie outside of the folder")
        if not (member.isfile() or member.isdir()):
            raise Failed(f"{member.name!r} is neither a file nor a folder")
        yield member


@contextmanager
def readable(archive: Path) -> Iterator[tarfile.TarFile]:
    """Open an archive; errors of one that is damaged, too large or hostile become one line."""
    try:
        with archive.open("rb") as plain:
            # By content, because the name of an archive may say anything.
            begins = plain.read(2)
            plain.seek(0)
            opened: Any = plain
            if begins in OPENERS:
                opened = OPENERS[begins](plain)

            rationed: Any = Rationed(opened, limit(archive.stat().st_size, MOST))
            # Uncompressed ("r:"): tarfile's own decompression would know no limit.
            with tarfile.open(fileobj=rationed, mode="r:") as tar:
                yield tar
    except tarfile.ReadError as error:
        raise Failed(f"{archive.name}: no tar archive, or a damaged one") from error
    except Failed as error:
        raise Failed(f"{archive.name}: {error}") from error
    except DAMAGED as error:
        raise Failed(f"{archive.name}: {error}") from error
