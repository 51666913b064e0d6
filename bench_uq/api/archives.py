"""Compressed data that others made: read no further than such data unpack to, so that no file fills the memory."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

#: Bytes that anything may unpack to, and how many times its own size beyond: images and arrays of measurements have
#: some 5 times, text some 10; what is made to fill a memory has a thousand.
MOST, RATIO = 1 << 27, 100


class Bomb(ValueError):
    """What unpacks to far more than the data that it is given for."""


def limit(size: int, most: int = MOST, ratio: int = RATIO) -> int:
    """Return the bytes that a file of so many may unpack to."""
    return max(most, ratio * size)


def gunzip(content: bytes, most: int = MOST, ratio: int = RATIO) -> bytes:
    """Return what is compressed in a .gz; a damaged one raises what gzip raises, one that is too large a Bomb."""
    largest = limit(len(content), most, ratio)
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
        unpacked = stream.read(largest + 1)
    if len(unpacked) > largest:
        raise Bomb(f"unpacks to more than {largest:,} bytes, of {len(content):,}")
    return unpacked


@contextmanager
def open_npz(source: Path | bytes) -> Iterator[np.lib.npyio.NpzFile]:
    """Open an npz file whose arrays are then read one by one: never unpickled, none made to fill the memory.

    What is no archive raises ``zipfile.BadZipFile``, one that is too large a Bomb; a damaged array raises anything.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        check_members(file)
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            yield arrays


def check_members(file: BinaryIO) -> None:
    """Refuse an archive whose members say that they unpack to too much; zipfile reads none beyond what it says."""
    if file.read(2) != b"PK":  # NumPy takes what begins otherwise for a single array
        raise zipfile.BadZipFile("no npz file")
    size = file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise zipfile.BadZipFile(
                f"{member.filename!r} is compressed in a way that NumPy does not write"
            )
    # Of the file, not of its members: these may overlap.
    unpacked, largest = sum(member.file_size for member in members), limit(size)
    if unpacked > largest:
        raise Bomb(
            f"unpacks to {unpacked:,} bytes, of {size:,}; numpy.savez stores arrays as they are"
        )
