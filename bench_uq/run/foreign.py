"""Scores of runs that were made elsewhere, which no run, import or merge may replace."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from bench_uq.api.errors import UsageError
from bench_uq.store import PlannedRun
from bench_uq.store.plans import read_plan


def refuse_loss(folder: Path, runs: Collection[PlannedRun]) -> None:
    """Refuse runs in a folder whose scores are partly of other runs, which are not here.

    Scoring would drop the scores of those: published ones, which come without their runs.
    """
    file = folder / "runs.csv"
    if not file.is_file():
        return
    known = {run.place for run in read_plan(folder).runs.values()}
    known |= {run.place for run in runs}

    lost = []
    for row in scored(file):
        place = f"{row['method']}|{row['dataset']}|{row['seed']}"
        # A plan can be damaged where its runs are not.
        if place not in known and not (folder / "runs" / row["run"]).is_dir():
            lost.append(row["method"])
    if not lost:
        return

    many = "a run that was" if len(lost) == 1 else f"{len(lost)} runs that were"
    raise UsageError(
        f"{file} has {many} not made here, {'of' if len(lost) == 1 else 'the first of'} "
        f"{lost[0]!r}: the scores would be lost (--results DIR puts yours elsewhere)"
    )


def scored(path: Path) -> Iterator[Mapping[str, str]]:
    """Rows of a runs.csv but those of superseded runs; none of a file that cannot be read."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return

    for row in rows:
        named = all(row.get(name) for name in ("run", "method", "dataset", "seed"))
        if named and row.get("status") != "superseded":
            yield row
