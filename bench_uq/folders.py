"""Folders to write to: what is in the way is told before anything is written."""

from __future__ import annotations

import os
from pathlib import Path

from bench_uq.errors import UsageError


def writable(folder: Path) -> Path:
    """Return a folder to write to, refusing one that cannot be written to or that a link of someone else leads to."""
    for path in (folder.absolute(), *folder.absolute().parents):
        if os.path.islink(path) and path.lstat().st_uid not in (os.geteuid(), 0):
            raise UsageError(f"cannot write to {folder}: {path} is a link made by someone else")
        if os.path.islink(path) and not os.path.exists(path):
            raise UsageError(f"cannot write to {folder}: {path} is a link to nothing")
    there = nearest(folder)
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write to {folder}: {there} is not a folder that can be written to")
    return folder


def nearest(folder: Path) -> Path:
    """Return a folder, or the nearest one above it that is there and can be seen."""
    # Unlike Path.exists, os.path.exists does not raise for what lies in a folder that may not be looked into.
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.exists(path))
