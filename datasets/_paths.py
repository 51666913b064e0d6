"""Paths that a user names as an option of a dataset."""

from __future__ import annotations

from pathlib import Path

from bench_uq.api import MissingData, UsageError


def located(dataset: str, path: Path, root: Path, *, unset: Path) -> Path:
    """Return where a path is: below the root of the data, else in the working folder, as it is where absolute."""
    if path == unset:
        raise UsageError(f"{dataset} has no data of its own: say which, {dataset}[path={unset}]")
    places = list(dict.fromkeys((root / path, path)))
    if not any(place.exists() for place in places):
        raise MissingData(f"{dataset}[path={path}]", places)
    return next(place for place in places if place.exists())


def stamp(path: Path) -> tuple[Path, int, int]:
    """Return a file with its size and time of change, by which a change is noticed without reading it."""
    stat = path.stat()
    return path, stat.st_size, stat.st_mtime_ns
