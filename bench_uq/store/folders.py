"""Folders to write to, checked before anything is written."""

from __future__ import annotations

import os
from pathlib import Path

from bench_uq.api.errors import UsageError


def writable(folder: Path) -> Path:
    """Require a folder that can be written to, or made."""
    # A link to nothing does not exist for os.path.exists, and mkdir fails on it.
    for path in (folder.absolute(), *folder.absolute().parents):
        if os.path.islink(path) and not os.path.exists(path):
            raise UsageError(f"cannot write to {folder}: {path} is a link to nothing")

    there = nearest(folder)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(
            f"cannot write to {folder}: {there} is not a folder that can be written to"
        )
    return folder


def enclosed(folder: Path) -> Path:
    """Require a folder to write to that holds no link, which could lead outside of it."""
    writable(folder)

    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):  # not made yet, or gone since
            reason = f"{error.filename}: {error.strerror}"
            raise UsageError(f"cannot write to {folder}: {reason}") from error

    # Unless told to refuse, os.walk passes over folders that cannot be read.
    for place, folders, files in os.walk(folder, onerror=refuse):
        for name in (*folders, *files):
            path = Path(place, name)
            if path.is_symlink():
                raise UsageError(
                    f"cannot write to {folder}: {path} is a link, which nothing is written through "
                    "(remove it)"
                )
    return folder


def unlinked(path: Path) -> Path:
    """Require a path that is not a link at the time of writing."""
    if path.is_symlink():
        raise UsageError(f"{path} is a link, which nothing is written through (remove it)")
    return path


def nearest(folder: Path) -> Path:
    """A folder, or the nearest one above it that exists."""
    for path in (folder.absolute(), *folder.absolute().parents):
        # Unlike Path.exists it does not raise in a folder that cannot be searched.
        if os.path.exists(path):
            return path
    return Path("/")
