"""The stored plan of a suite."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import filelock

from bench_uq.store.files import (
    PLAIN,
    PLAN,
    SCHEMA,
    discard_partial,
    read_json,
    refuse_newer,
    set_aside,
    write_json,
)
from bench_uq.store.folders import unlinked


def is_plan(plan: Any) -> bool:
    """Return whether this is a plan: runs by ``method|dataset|seed``, with what each is shown."""
    runs = plan.get("runs") if isinstance(plan, dict) else None
    return isinstance(runs, dict) and all(map(is_planned, runs.values()))


def is_planned(entry: Any) -> bool:
    """Return whether this is a run of a plan, and stays inside of its folder."""
    match entry:
        case {
            "run": str(run),
            "method": str(),
            "dataset": str(),
            "seed": int(),
            "shown": list(shown),
        }:
            command = entry.get("command")
            return (
                bool(PLAIN.fullmatch(run))
                and isinstance(command, str | None)
                and all(map(is_shown, shown))
            )
    return False


def is_shown(one: Any) -> bool:
    """Return whether this says what a run is shown, and in which file it is stored."""
    match one:
        case {
            "condition": str(),
            "kind": str(),
            "level": int() | float() | None,
            "file": str(file),
        }:
            return bool(PLAIN.fullmatch(file))
    return False


def read_plan(folder: Path) -> dict[str, Any]:
    """Return the runs that the plans so far ask for, by ``method|dataset|seed``, and what they show."""
    path = folder / PLAN
    plan = read_json(path)
    refuse_newer(path, plan)
    if plan is None or is_plan(plan):
        return plan or {"runs": {}}
    set_aside(path)
    return {"runs": {}}


def suite_lock(folder: Path) -> filelock.BaseFileLock:
    """Return the lock of a suite's plan and derived files."""
    folder.mkdir(parents=True, exist_ok=True)
    return filelock.FileLock(unlinked(folder / ".lock"))


def merge_plan(folder: Path, runs: Mapping[str, Any], **facts: Any) -> None:
    """Lay the newest plan over those before: one run a method, dataset and seed, the latest asked for."""
    with suite_lock(folder):
        discard_partial(folder, besides=["reference.csv"])
        plan = read_plan(folder)
        merged = {**plan, "schema": SCHEMA, **facts, "runs": {**plan["runs"], **runs}}
        if merged != plan:
            write_json(folder / PLAN, merged)
