"""Folders to write to: what is in the way is told before anything is written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from bench_uq.api.errors import UsageError


def writable(folder: Path) -> Path:
    """Return a folder to write to, refusing one that cannot be written to or that someone else could lead elsewhere."""
    for path in (folder.absolute(), *folder.absolute().parents):
        if os.path.islink(path) and not os.path.exists(path):
            raise UsageError(f"cannot write to {folder}: {path} is a link to nothing")
    there = nearest(followed(folder))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(
            f"cannot write to {folder}: {there} is not a folder that can be written to"
        )
    if open_to_all(there):
        raise UsageError(
            f"cannot write to {folder}: {there} belongs to someone else, and anyone may write to it"
        )
    return folder


def followed(folder: Path) -> Path:
    """Return a folder to write to, refusing one that a link of someone else leads to."""
    for path in (folder.absolute(), *folder.absolute().parents):
        if os.path.islink(path) and path.lstat().st_uid not in (os.geteuid(), 0):
            raise UsageError(f"cannot write to {folder}: {path} is a link made by someone else")
    return folder


def open_to_all(folder: Path) -> bool:
    """Return whether a folder belongs to someone else who lets anyone write to it.

    Folders of root, such as /tmp, and those shared by a group are fine, and root writes to the folders that containers
    are given, whoever owns them.
    """
    found = folder.stat()
    everyone = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
    return os.geteuid() != 0 and found.st_uid not in (os.geteuid(), 0) and bool(everyone)


def enclosed(folder: Path) -> Path:
    """Return a folder to write to with all that is in it, refusing one that holds a link: it could lead anywhere."""
    writable(folder)
    try:
        for path in links(folder):
            raise UsageError(
                f"cannot write to {folder}: {path} is a link, which nothing is written through (remove it)"
            )
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.filename}: {error.strerror}") from error
    return folder


def links(folder: Path) -> Iterator[Path]:
    """Yield the links in a folder and in its folders, none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            listed = list(entries)
    except FileNotFoundError:  # or gone since: several processes share a folder
        return
    for entry in listed:
        if entry.is_symlink():
            yield Path(entry.path)
        elif entry.is_dir(follow_symlinks=False):
            yield from links(Path(entry.path))


def unlinked(path: Path) -> Path:
    """Return a path to write to, refusing one that is a link by now."""
    if path.is_symlink():
        raise UsageError(f"{path} is a link, which nothing is written through (remove it)")
    return path


def nearest(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that is there and can be seen."""
    # Unlike Path.exists, os.path.exists does not raise for what lies in a folder that may not be looked into.
    return next(
        path for path in (folder.absolute(), *folder.absolute().parents) if os.path.exists(path)
    )
