"""The rule of ``bench-uq check``: each cell of a baseline against the same cell now.

A cell regressed where it lost its value, or where it got worse by more than its margin and noise would hardly do that
to any cell of the suite: Student's t over the shared seeds on the cell's scale, with a moderated spread, corrected by
Holm over all cells that are not equal to the last digit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import numpy as np
import pandas as pd
from scipy import stats

from bench_uq.api.errors import UsageError
from bench_uq.check.margins import EITHER_WAY, Margins
from bench_uq.check.missing import Hole, holes, to_run
from bench_uq.check.pairing import Row, paired, real_targets, summed, with_intervals
from bench_uq.check.results import RunKey, Side
from bench_uq.check.verdicts import FATAL, Outcome, as_cell, as_read
from bench_uq.metrics import find
from bench_uq.score.statistics import ALPHA, detectable_difference, holm

#: The fewest shared seeds by which a change can be told from noise.
FEWEST = 5
#: Where nothing changed, noise takes some cell of a suite beyond its margin and below this p-value at most this often:
#: too often to fail a build, too seldom to pass it in silence.
SUSPICION = 0.2
#: How the rule of a two-sided cell begins.
CHANGED = "changed"


def check(
    baseline: Side, now: Side, margins: Margins, own_budget: Collection[RunKey] = ()
) -> Outcome:
    """Return the verdicts on all gated cells of a baseline, in the order of their names.

    ``own_budget`` holds the runs that were made with the suite's own settings: floors are of those alone.
    """
    rows = paired(baseline, now)
    rows["margin"] = [
        margins.margin(*shown) for shown in zip(rows["condition"], rows["metric"], strict=True)
    ]
    rows = rows[rows["margin"].notna()].reset_index(drop=True)
    if rows.empty:
        raise UsageError(f"{baseline.name} has no score that is gated")
    cells = summed(rows, real_targets(baseline))
    # An attack or a shift of level 0 is none: such cells are those of clean data once more.
    cells["two_sided"] = (cells["level"].fillna(0) != 0) | cells["metric"].isin(EITHER_WAY)
    lacking = holes(rows, baseline, now)
    fatal = [place in lacking and lacking[place].verdict in FATAL for place in range(len(cells))]
    cells = _with_tests(cells, ~np.array(fatal))
    same = _all_seeds(baseline, lambda key: _same_machine(key, baseline, now))
    own = _all_seeds(baseline, lambda key: key in own_budget)
    found = []
    for place, row in enumerate(cells.to_dict("records")):
        pair = row["dataset"], row["method"]
        floor = margins.floor(row["condition"], row["metric"]) if pair in own else None
        verdict, rule = _verdict(row, lacking.get(place), floor, same=pair in same)
        told = verdict == "inconclusive" and row["judged"]
        found.append(
            as_cell(
                row,
                verdict,
                rule,
                _detectable(row, int(cells["judged"].sum())) if told else math.nan,
            )
        )
    remarks = _remarks(baseline, now)
    if any(cell.verdict == "regressed" and cell.rule.startswith(CHANGED) for cell in found):
        remarks.append(
            f"{CHANGED}: attacks, shifts and entropies have no better side; if it was meant, renew the baseline"
        )
    if any(margins.floors.values()) and (other := {key[:2] for key in baseline.runs} - own):
        named = ", ".join(f"{method} on {dataset}" for dataset, method in sorted(other))
        remarks.append(f"not made with the suite's own settings, hence not held to floors: {named}")
    return Outcome(tuple(found), tuple(to_run(baseline, now)), tuple(remarks))


def _all_seeds(side: Side, holds: Callable[[RunKey], bool]) -> set[tuple[str, str]]:
    """Return dataset and method of those of which something holds for every run."""
    return {key[:2] for key in side.runs} - {key[:2] for key in side.runs if not holds(key)}


def _same_machine(key: RunKey, baseline: Side, now: Side) -> bool:
    """Tell whether a run was made in one environment on a CPU, where equal code gives equal digits."""
    environment = baseline.on_cpu(key)
    return environment is not None and environment == now.on_cpu(key)


def _with_tests(cells: pd.DataFrame, whole: np.ndarray) -> pd.DataFrame:
    """Return cells with the interval of their change and, where they are ``judged``, adjusted p-values.

    ``p`` is of a change for the worse, or of any where a cell is two-sided, ``p_better`` of one for the better. Cells
    that are equal to the last digit are no comparisons: nothing happened to them that noise could explain.
    """
    cells = with_intervals(cells, whole).assign(p_better=math.nan)
    cells["judged"] = cells["t"].notna() & (cells["seeds"] >= FEWEST)
    judged = cells[cells["judged"]]
    if len(judged):
        two = judged["two_sided"].to_numpy()
        up = stats.t.sf(judged["t"], judged["freedom"])
        down = stats.t.cdf(judged["t"], judged["freedom"])
        cells.loc[judged.index, "p"] = holm(np.where(two, 2 * np.minimum(up, down), up))
        cells.loc[judged.index[~two], "p_better"] = holm(down[~two])
    return cells


def _verdict(row: Row, hole: Hole | None, floor: float | None, *, same: bool) -> tuple[str, str]:
    """Return the verdict on a cell, and the rule that decided."""
    if hole and hole.verdict in FATAL:
        return hole.verdict, hole.rule
    if floor is not None and _beyond(row, floor):
        return (
            "regressed",
            f"{'below' if find(row['metric']).direction == 'higher' else 'above'} the floor {floor:g}",
        )
    verdict, rule = _by_numbers(row)
    if hole and verdict not in FATAL:
        return hole.verdict, hole.rule
    if verdict == "pass" and same and not row["equal"]:
        return "changed", f"same environment, but not the same digits; {rule}"
    return verdict, rule


def _beyond(row: Row, floor: float) -> bool:
    """Tell whether the mean is worse than a floor."""
    return bool(
        row["second"] < floor
        if find(row["metric"]).direction == "higher"
        else row["second"] > floor
    )


def _by_numbers(row: Row) -> tuple[str, str]:
    """Return the verdict by the shared seeds alone."""
    if row["equal"]:
        return "pass", "equal to the last digit"
    change = row["change"]
    worse = abs(change) if row["two_sided"] else change
    what = CHANGED if row["two_sided"] else "worse"
    if row["judged"] and worse > row["margin"] and row["p"] <= ALPHA:
        return "regressed", f"{what} by more than its margin, p {as_read(row['p'])}"
    if worse > row["margin"] and not row["judged"]:
        return (
            "inconclusive",
            f"{what} by more than its margin on {row['seeds']} seeds; at least {FEWEST} tell",
        )
    if worse > row["margin"] and row["p"] <= SUSPICION:
        return (
            "inconclusive",
            f"{what} by more than its margin, p {as_read(row['p'])}: more seeds would tell",
        )
    if worse > row["margin"]:
        return "pass", f"{what} by more than its margin, as noise does: p {as_read(row['p'])}"
    if row["judged"] and -change > row["margin"] and row["p_better"] <= ALPHA:
        return "improved", f"better by more than its margin, p {as_read(row['p_better'])}"
    return "pass", "within its margin"


def _detectable(row: Row, comparisons: int) -> float:
    """Return the change that the seeds of a judged cell would find among so many comparisons, on its scale."""
    spread, sides = row["error"] * math.sqrt(row["seeds"]), 2 if row["two_sided"] else 1
    return detectable_difference(
        spread, row["seeds"], comparisons, freedom=row["freedom"], sides=sides
    )


def _remarks(baseline: Side, now: Side) -> list[str]:
    """Return what to know of the two sides: settings that differ, and what the baseline does not have."""
    differing: dict[str, set[str]] = {}
    for key, run in baseline.runs.items():
        twin = now.runs.get(key)
        for name, was in run.settings.items() if twin else ():
            is_now = twin.settings.get(name) if twin else None
            if None not in (was, is_now) and was != is_now:
                differing.setdefault(f"{name}: {was} in the baseline, {is_now} now", set()).add(
                    key[1]
                )
    remarks = [
        f"{how} ({', '.join(sorted(methods))})" for how, methods in sorted(differing.items())
    ]
    new = sorted({key[:2] for key in now.runs} - {key[:2] for key in baseline.runs})
    named = ", ".join(f"{method} on {dataset}" for dataset, method in new)
    return [*remarks, f"not in the baseline, hence not checked: {named}"] if new else remarks
