"""The stored plan of a suite."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import filelock

from bench_uq.store.about import About
from bench_uq.store.files import (
    PLAN,
    RECORD,
    discard_partial,
    parsed,
    read_json,
    refuse_newer,
    set_aside,
    write_json,
)
from bench_uq.store.folders import unlinked
from bench_uq.store.records import Plan, PlannedRun


def read_plan(folder: Path) -> Plan:
    """The plan of a suite's folder; empty without one, and a damaged one is set aside."""
    path = folder / PLAN
    value = read_json(path)
    refuse_newer(path, value)
    if value is None:
        return Plan()

    try:
        return Plan.from_json(value)
    except ValueError:
        set_aside(path)
        return Plan()


def merge_plan(
    folder: Path,
    runs: Iterable[PlannedRun],
    description: str | None = None,
    about: About | None = None,
) -> None:
    """Add runs to the plan; each replaces an earlier one of its method, dataset and seed."""
    with suite_lock(folder):
        discard_partial(folder, besides=["reference.csv"])
        plan = read_plan(folder)

        merged = {**plan.runs, **{planned.place: planned for planned in runs}}
        changed = dataclasses.replace(plan, runs=merged)
        if description is not None:
            changed = dataclasses.replace(changed, description=description)
        if about is not None:
            changed = dataclasses.replace(changed, about=about.laid_over(plan.about))
        if changed.to_json() != plan.to_json() or not (folder / PLAN).exists():
            write_json(folder / PLAN, changed.to_json())


def suite_lock(folder: Path) -> filelock.BaseFileLock:
    """Lock of a suite's plan and derived files."""
    folder.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(unlinked(folder / ".lock"))


def check_schema(folder: Path, runs: Iterable[str] = ()) -> None:
    """Refuse a suite's folder if its plan, or one of these runs, has a newer schema.

    Nothing is changed: a damaged file is reported where it is read to be used.
    """
    records = [folder / "runs" / run / RECORD for run in runs]
    for path in (folder / PLAN, *records):
        if path.is_file():
            with suppress(ValueError, FileNotFoundError):
                refuse_newer(path, parsed(path.read_bytes()))
