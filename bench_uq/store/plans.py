"""The stored plan of a suite."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import filelock

from bench_uq.store.about import About
from bench_uq.store.files import (
    PLAN,
    RECORD,
    Damaged,
    discard_partial,
    load_json,
    read_json,
    write_json,
)
from bench_uq.store.records import Plan, PlannedRun


def read_plan(folder: Path) -> Plan:
    """The plan of a suite's folder; empty without one, and a damaged one is set aside."""
    return read_json(folder / PLAN, Plan.from_json) or Plan()


def merge_plan(
    folder: Path,
    runs: Iterable[PlannedRun],
    description: str | None = None,
    about: About | None = None,
    files: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Add runs to the plan; each replaces an earlier one of its method, dataset and seed."""
    with suite_lock(folder):
        # Published values are written without this lock.
        discard_partial(folder, besides=["reference.csv"])
        plan = read_plan(folder)

        merged = {**plan.runs, **{planned.place: planned for planned in runs}}
        changed = dataclasses.replace(plan, runs=merged)
        if description is not None:
            changed = dataclasses.replace(changed, description=description)
        if about is not None:
            changed = dataclasses.replace(changed, about=about.laid_over(plan.about))
        changed = dataclasses.replace(changed, files={**plan.files, **files})
        # All shards wait for this lock, and a plan of many runs takes long to write.
        if changed.to_json() != plan.to_json() or not (folder / PLAN).exists():
            write_json(folder / PLAN, changed.to_json())


def suite_lock(folder: Path) -> filelock.BaseFileLock:
    """Lock of a suite's plan and derived files."""
    folder.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(folder / ".lock")


def check_schema(folder: Path, runs: Iterable[str] = ()) -> None:
    """Refuse a suite's folder if its plan, or one of these runs, has a newer schema."""
    # Nothing is changed: a damaged file is reported where it is read to be used.
    for path in (folder / PLAN, *(folder / "runs" / run / RECORD for run in runs)):
        with suppress(Damaged, OSError):
            load_json(path)
