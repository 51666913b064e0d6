"""Scores of runs that were made elsewhere, which no run, import or merge may replace."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from bench_uq.api.errors import UsageError
from bench_uq.store import PlannedRun, stored
from bench_uq.store.plans import read_plan
from bench_uq.store.records import place_of


def refuse_loss(folder: Path, runs: Collection[PlannedRun]) -> None:
    """Refuse runs in a folder whose scores are partly of other runs, which are not here.

    Scoring would drop the scores of those: published ones, which come without their runs.
    """
    if not stored(folder / "runs.csv").is_file():
        return
    # Here, because it loads pandas, and most folders are new.
    from bench_uq.store import derived

    file = derived.runs_file(folder)
    try:
        rows = derived.table(file).to_dict("records")
    except UsageError:
        # Of a damaged table nothing can be read, so nothing is lost: scoring makes it anew.
        return

    known = {run.place for run in read_plan(folder).runs.values()}
    known |= {run.place for run in runs}
    lost = []
    for row in rows:
        place = place_of(row["method"], row["dataset"], row["seed"])
        # A plan can be damaged where its runs are not.
        if place not in known and not (folder / "runs" / row["run"]).is_dir():
            lost.append(row["method"])

    if lost:
        raise UsageError(
            f"{file}: {len(lost)} of its {len(rows)} runs were made elsewhere, such as one of "
            f"{lost[0]!r}; their scores would be lost (--results DIR puts yours elsewhere)"
        )
