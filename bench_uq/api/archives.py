"""Compressed files of others, read only up to a limit, so that none of them fills memory."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

#: Bytes that any file may unpack to, and the multiple of its own size that a larger download may.
#: Images and measurements unpack to about 5 times their size, text to 10, hostile files to 1,000.
MOST, RATIO = 1 << 27, 100


class Bomb(ValueError):
    """A file unpacks to more than there is room for."""


def limit(size: int, most: int = MOST, ratio: int = RATIO) -> int:
    """Bytes that a download of a size may unpack to, on a disk that holds other things too."""
    return max(most, ratio * size)


def memory() -> int:
    """Bytes of memory of this machine, or of the container that this process runs in."""
    held = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # Without a limit the file is absent, or holds a word.
    with suppress(OSError, ValueError):
        held = min(held, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return held


def room(size: int, share: int = 2) -> int:
    """Bytes that a user's file of a size may unpack to: a share of the memory, one in so many.

    Constant data unpack to thousands of times their size, so that no ratio tells them from bombs.
    """
    return max(size, memory() // share)


def gunzip(content: bytes, share: int = 2) -> bytes:
    """Unpack a .gz file; raise Bomb if it is too large, and gzip's errors if it is damaged."""
    # One byte more than allowed shows that there is more, without unpacking it.
    largest = room(len(content), share)
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
        unpacked = stream.read(largest + 1)

    if len(unpacked) > largest:
        raise Bomb(f"unpacks to more than {largest:,} bytes, for which this machine has room")
    return unpacked


@contextmanager
def open_npz(source: Path | bytes) -> Iterator[np.lib.npyio.NpzFile]:
    """Open an npz file; its arrays are then read one by one and never unpickled.

    Raise ``zipfile.BadZipFile`` for a file that is no archive, and Bomb for one that is too large.
    Reading a damaged array can raise any error.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        check_members(file)
        # check_members has read the file to its end.
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            yield arrays


def check_members(file: BinaryIO) -> None:
    """Refuse an archive whose members claim to unpack to too much.

    That is enough: zipfile reads no member beyond its claim.
    """
    # NumPy would read it as a single array, without the limits below.
    if file.read(2) != b"PK":
        raise zipfile.BadZipFile("no npz file")

    size = file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()

    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise zipfile.BadZipFile(
                f"{member.filename!r} is compressed in a way that NumPy does not write"
            )

    # Members may overlap, so the limit is on the file and not on each member.
    unpacked, largest = sum(member.file_size for member in members), room(size)
    if unpacked > largest:
        raise Bomb(f"unpacks to {unpacked:,} bytes; this machine has room for {largest:,}")
