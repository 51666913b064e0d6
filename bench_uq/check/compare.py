"""Two results side by side, neither of them the baseline of the other."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from scipy import stats

from bench_uq.api.errors import UsageError, unknown
from bench_uq.check.margins import MARGINS
from bench_uq.check.pairing import Row, paired, place_of, real_targets, summed, with_intervals
from bench_uq.check.results import Side
from bench_uq.check.verdicts import Outcome, as_cell, as_read
from bench_uq.metrics import find
from bench_uq.score.statistics import ALPHA, holm

#: All verdicts of a comparison; the last two are of what cannot be told apart.
COMPARED = (
    "better in A",
    "better in B",
    "different",
    "only in A",
    "only in B",
    "no number",
    "not told apart",
    "equal",
)
#: The margin of scores that the gate has none for; here it only says which spread is too small to be believed.
NO_MARGIN = 0.1


def compare_sides(first: Side, second: Side, metrics: Collection[str] = ()) -> Outcome:
    """Return the verdict on each score of A, the first side, or B, the second: of the gated metrics if none are named.

    Student's t over the seeds that both have, with the gate's scales and spreads, two-sided, Holm over all scores that
    are not equal to the last digit.
    """
    rows = paired(first, second, how="outer")
    known = {str(name) for name in rows["metric"].unique()}
    for name in metrics:
        if name not in known:
            raise unknown(f"metric in {first.name} or {second.name}", name, known)
    rows = rows[rows["metric"].isin(metrics or MARGINS)].reset_index(drop=True)
    if rows.empty:
        raise UsageError(f"{first.name} and {second.name} hold no score to compare")
    rows["margin"] = [MARGINS.get(metric, NO_MARGIN) for metric in rows["metric"]]
    place = place_of(rows)
    cells = summed(rows, real_targets(first, second))
    there = [
        np.bincount(place, weights=rows[name].notna(), minlength=len(cells)) > 0
        for name in ("first", "second")
    ]
    cells = with_intervals(cells, np.ones(len(cells), bool))
    tested = cells["t"].notna()
    if tested.any():
        two_sided = 2 * stats.t.sf(cells["t"].abs(), cells["freedom"])[tested.to_numpy()]
        cells.loc[tested, "p"] = holm(two_sided)
    found = [
        as_cell(row, *_verdict(row, bool(in_first), bool(in_second)))
        for row, in_first, in_second in zip(cells.to_dict("records"), *there, strict=True)
    ]
    return Outcome(tuple(found), order=COMPARED, quiet=COMPARED[-2:], names=("A", "B"))


def _verdict(row: Row, in_first: bool, in_second: bool) -> tuple[str, str]:
    """Return what the seeds tell of one score, and why."""
    if not (in_first or in_second):
        return "no number", "no finite value on either side"
    if not (in_first and in_second):
        return ("only in A" if in_first else "only in B"), "no finite value on the other side"
    if row["equal"]:
        return "equal", f"equal to the last digit at {row['seeds']} seeds"
    if row["seeds"] < 2:
        return "not told apart", f"seeds in common: {row['seeds']}"
    p = f"p {as_read(row['p'])}, {row['seeds']} seeds"
    if row["p"] > ALPHA:
        return "not told apart", p
    if find(row["metric"]).direction == "none":
        return "different", p
    return f"better in {'A' if row['change'] > 0 else 'B'}", p
