"""Rows of runs.csv: every planned run with its status and cost, and every superseded one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from bench_uq import store
from bench_uq.api.names import plain_name
from bench_uq.store import Evaluation, PlannedRun, Record
from bench_uq.store.derived import COLUMNS, LATER, SUPERSEDED
from bench_uq.store.environment import fingerprint
from bench_uq.train.settings import Settings

#: Of runs that no study has tuned.
DEFAULTS = "defaults"
RUNS = tuple(COLUMNS["runs.csv"].split() + LATER["runs.csv"].split())


def run_row(planned: PlannedRun, record: Record, kept: Mapping[str, Any]) -> list[Any]:
    """Row of a planned run, whatever became of it; ``kept`` are facts of its stored files."""
    sizes: Mapping[str, int] = kept["sizes"]
    files = [shown.file for shown in planned.shown]
    # The record may have files that the plan no longer asks for.
    seconds = sum(record.predict_seconds.get(file, 0) for file in files)
    environment = fingerprint(record.environment) if record.environment else None

    row = {
        **vars(record),
        **{one.name: record.settings.get(one.name) for one in fields(Settings)},
        **kept["hashes"],
        "converged": None,  # of older versions alone
        "run": planned.name,
        "method": planned.method,
        "dataset": planned.dataset,
        "seed": planned.seed,
        "status": record.status or "missing",
        "reason": without_folders(record.reason),
        "train_seconds": whole_seconds(record),
        "predict_seconds": seconds or None,
        "environment": environment,
        "network": record.identity.get("network"),
        "epochs": record.settings.get("epochs"),
        "draws": most_draws(record, files),
        "seconds_per_1000": clean_seconds(planned, record, sizes),
        "command": planned.command,
        "method_full": without_folders(record.method_full),
        "dataset_full": without_folders(record.dataset_full),
        "shared": None if planned.shared is None else json.dumps(dict(planned.shared)),
        "trained_on": planned.trained_on or None,
        "held_out": planned.held_out or None,
        "tested_on": next(
            (sizes.get(one.file) for one in planned.conditions if is_clean(one)), None
        ),
        "data": planned.data.get(""),
        "facts": json.dumps(further_facts(planned, sizes)),
        "reference": planned.reference or None,
        "lacking": without_folders(kept.get("lacking")) or None,
        "measured": json.dumps(dict(record.measured)) if record.measured else None,
    }
    return list(map(row.get, RUNS))


def whole_seconds(record: Record) -> float | None:
    """Seconds of the training, that of the base included."""
    if record.train_seconds is None:
        return None
    return record.train_seconds + (record.base_seconds or 0.0)


def is_clean(shown: Evaluation) -> bool:
    """Whether an evaluation is of clean data."""
    return shown.kind == "clean"


def further_facts(planned: PlannedRun, sizes: Mapping[str, int]) -> dict[str, str]:
    """Facts that decide about likeness beside the settings: of code, and of each condition."""
    facts = {}
    # Of predictions made elsewhere nobody knows it.
    if planned.shared is not None:
        facts["tuning"] = planned.tuned or DEFAULTS
    for part, source in planned.code.items():
        kind, _, name = part.partition(" ")
        if part == f"method {plain_name(planned.method)}":
            facts["code"] = source
        elif kind != "method":
            facts[f"code of {name}" if kind == "condition" else part] = source

    examples: dict[str, set[int]] = {}
    for shown in planned.conditions:
        if shown.file in sizes:
            examples.setdefault(shown.condition, set()).add(sizes[shown.file])
    for condition, counts in examples.items():
        facts[f"examples of {condition}"] = ", ".join(map(str, sorted(counts)))

    for condition, source in planned.data.items():
        if condition:
            facts[f"data of {condition}"] = source
    return facts


def most_draws(record: Record, files: list[str]) -> int | None:
    """Posterior samples that a prediction was to be averaged over; some methods have fewer."""
    # Imported predictions have no settings; a file of them says how many draws it holds.
    imported = [record.sources[file].draws for file in files if file in record.sources]
    return max(imported, default=0) or record.settings.get("draws")


def clean_seconds(planned: PlannedRun, record: Record, sizes: Mapping[str, int]) -> float | None:
    """Seconds per 1,000 clean predictions, all draws together."""
    # Not predict_seconds, which is the sum over all conditions, attacks included.
    for shown in planned.conditions:
        seconds, size = record.predict_seconds.get(shown.file), sizes.get(shown.file)
        if shown.kind == "clean" and seconds and size:
            return 1000 * float(seconds) / size
    return None


def without_folders(reason: str | None) -> str | None:
    """Cut the paths in a reason to their last part: derived files are published."""
    return re.sub(r"(?:/[^/\s'\":,;()]+)+/", "", reason) if reason else reason


def superseded_rows(folder: Path, plan: Mapping[str, PlannedRun]) -> list[list[Any]]:
    """Rows of the stored runs that no plan asks for any more."""
    asked = {planned.name for planned in plan.values()}
    rows = []
    for path in sorted((folder / "runs").glob(f"*/{store.RECORD}")):
        name = path.parent.name
        if name not in asked:
            known = vars(store.RunFolder(path.parent).record())
            row = {**known, "run": name, "status": SUPERSEDED}
            row |= {"predict_seconds": None, "environment": None, "converged": None}
            rows.append(list(map(row.get, RUNS)))
    return rows
