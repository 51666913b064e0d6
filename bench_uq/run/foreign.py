"""Scores of runs that were made elsewhere, which a run must not replace."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from pathlib import Path

from bench_uq.api.errors import UsageError
from bench_uq.store import PlannedRun
from bench_uq.store.plans import read_plan


def refuse_loss(folder: Path, runs: Collection[PlannedRun]) -> None:
    """Refuse runs in a folder whose scores are partly of runs that no plan here has.

    Scoring would drop the scores of those: published ones, which come without their runs.
    """
    file = folder / "runs.csv"
    if not file.is_file():
        return
    known = {run.place for run in read_plan(folder).runs.values()}
    known |= {run.place for run in runs}

    lost = [(method, place) for method, place in scored(file) if place not in known]
    if not lost:
        return

    method, _ = lost[0]
    raise UsageError(
        f"{file} has {len(lost)} runs that were not made here, the first of {method!r}: "
        "their scores would be lost (--results DIR puts yours elsewhere)"
    )


def scored(path: Path) -> Iterator[tuple[str, str]]:
    """Method and place of each run in a runs.csv; none of a file that cannot be read."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return

    for row in rows:
        method, dataset, seed = row.get("method"), row.get("dataset"), row.get("seed")
        if method and dataset and seed and row.get("status") != "superseded":
            yield method, f"{method}|{dataset}|{seed}"
