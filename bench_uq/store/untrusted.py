"""Roots of results that others made: which suites and runs they hold. No link is followed."""

from __future__ import annotations

import os
from pathlib import Path

from bench_uq import store
from bench_uq.api.errors import UsageError
from bench_uq.api.names import NAME
from bench_uq.store.records import RUN

#: End of the name of a folder that holds the trials of bench-uq tune.
STUDY = "-tuning"


def suites(root: Path) -> list[str]:
    """Suites in a root of results, trials of studies included; refuse a folder that is not one."""
    # Unlike Path.is_dir, os.path.isdir does not raise in a folder that cannot be searched.
    if not os.path.isdir(root):
        raise UsageError(f"{root} is no folder of results")
    if os.path.lexists(root / store.PLAN):
        raise UsageError(f"{root} is the folder of one suite: name the one that holds it")

    found = []
    for path in sorted(root.iterdir()):
        # A study is a folder of suites, one for each trial.
        own = [path]
        if path.name.endswith(STUDY) and path.is_dir() and not path.is_symlink():
            own += sorted(path.iterdir())
        for one in own:
            if not NAME.fullmatch(one.name) or not is_suite(one):
                continue
            if one.is_symlink():
                raise UsageError(
                    f"{one} is a link, which is not followed: name the root that it leads to"
                )
            found.append(one.relative_to(root).as_posix())

    if not found:
        raise UsageError(
            f"{root} holds no results: no suite's folder with a {store.PLAN} or runs in it"
        )
    return found


def is_suite(folder: Path) -> bool:
    """Whether a folder is that of a suite."""
    # A plan that is a link to nothing counts, so that it is refused and not passed over.
    return os.path.lexists(folder / store.PLAN) or os.path.isdir(folder / "runs")


def runs(folder: Path) -> list[str]:
    """Names of the runs in a suite's folder, recorded or not."""
    return [path.name for path in entries(folder) if os.path.isdir(path) and not path.is_symlink()]


def links(folder: Path) -> list[Path]:
    """Links in place of a suite's runs."""
    inside = folder / "runs"
    if inside.is_symlink():
        return [inside]
    return [path for path in entries(folder) if path.is_symlink()]


def entries(folder: Path) -> list[Path]:
    """Entries in a suite's folder of runs that have the name of a run."""
    inside = folder / "runs"
    if inside.is_symlink() or not os.path.isdir(inside):
        return []
    return sorted(path for path in inside.iterdir() if RUN.fullmatch(path.name))
