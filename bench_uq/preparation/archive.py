"""Archives laid out beside themselves, each file whole or not at all, none outside the folder."""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from bench_uq.preparation.download import Failed, size, sync


def unpacked(archive: Path) -> bool:
    """Return whether every file of an archive is there with its size."""
    with readable(archive) as tar:
        files = [(archive.parent / member.name, member.size) for member in tar if member.isfile()]
    return all(path.is_file() and size(path) == length for path, length in files)


def unpack(archive: Path) -> None:
    """Lay out an archive's files: first all in a folder beside, then each renamed into place."""
    folder = archive.with_name(f".{archive.name}.unpacked")
    rmtree(folder, ignore_errors=True)
    try:
        with readable(archive) as tar:
            tar.extractall(folder, filter="data")
        for path in sorted(Path(top, name) for top, _, names in os.walk(folder) for name in names):
            beside = archive.parent / path.relative_to(folder)
            beside.parent.mkdir(parents=True, exist_ok=True)
            sync(path)
            path.replace(beside)
            sync(beside.parent)
    finally:
        rmtree(folder, ignore_errors=True)


@contextmanager
def readable(archive: Path) -> Iterator[tarfile.TarFile]:
    """Open an archive, telling one that is damaged or reaches outside its folder in one line."""
    try:
        with tarfile.open(archive) as tar:
            yield tar
    except tarfile.ReadError as error:
        raise Failed(f"{archive.name}: no tar archive, or a damaged one") from error
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Failed(f"{archive.name}: {error}") from error
