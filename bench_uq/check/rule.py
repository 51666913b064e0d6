"""The rule of ``bench-uq check``: each cell of a baseline against the same cell now."""

# A cell regressed if it lost its value, or if it got worse by more than its margin and chance would
# rarely do that to any cell of the suite: Student's t over the shared seeds on the cell's scale,
# with a moderated variance, corrected by Holm over all cells that are not equal to the last digit.

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
import pandas as pd
from scipy import stats

from bench_uq.api.errors import UsageError
from bench_uq.check.margins import Margins
from bench_uq.check.missing import Gap, missing, to_run
from bench_uq.check.pairing import Row, paired, real_targets, summed, with_intervals
from bench_uq.check.results import RunKey, SuiteResults, unlike
from bench_uq.check.verdicts import FATAL, Verdicts, as_cell, as_read
from bench_uq.score.cards import Cards
from bench_uq.score.statistics import ALPHA, detectable_difference, holm

#: The fewest shared seeds that can show a regression.
FEWEST = 5
#: If nothing changed, chance takes some cell of a suite beyond its margin and below this p-value at
#: most this often: too often to fail a build, too rarely to pass in silence. Without a limit nearly
#: every check of five seeds would be inconclusive, because margins are smaller than their scatter.
SUSPICION = 0.2
#: How the rule of a two-sided cell begins.
CHANGED = "changed"


def judge(
    baseline: SuiteResults, now: SuiteResults, margins: Margins, own_budget: Collection[RunKey] = ()
) -> Verdicts:
    """Verdicts on all gated cells of a baseline, in the order of their names.

    ``own_budget`` holds the runs made with the suite's own settings: floors apply to those alone.
    """
    rows = paired(baseline, now)
    columns = rows["condition"], rows["metric"]
    rows["margin"] = [margins.margin(*names) for names in zip(*columns, strict=True)]
    rows = rows[rows["margin"].notna()].reset_index(drop=True)
    if rows.empty:
        raise UsageError(f"{baseline.name} has no gated score")

    cards = margins.cards
    cells = summed(rows, real_targets(cards, baseline), cards)
    # Less harm by an attack is as often a broken attack as a better method, so any change counts.
    # At level 0 nothing is attacked or shifted: such a cell repeats clean data.
    unordered = cells["metric"].map(lambda metric: cards[metric].direction == "none")
    cells["two_sided"] = (cells["level"].fillna(0) != 0) | unordered
    gaps = missing(rows, baseline, now)
    # A cell that fails in any case is no comparison that the others must pay for.
    fatal = [place for place, (verdict, _) in gaps.items() if verdict in FATAL]
    cells = _with_tests(cells, ~cells.index.isin(fatal))
    comparisons = int(cells["judged"].sum())

    other_machine, other_settings = set[tuple[str, str]](), set[tuple[str, str]]()
    for key in baseline.runs:
        if not _same_machine(key, baseline, now):
            other_machine.add(key[:2])
        if key not in own_budget:
            other_settings.add(key[:2])

    found = []
    for place, row in enumerate(cells.to_dict("records")):
        pair = row["dataset"], row["method"]
        crossed = ""
        if pair not in other_settings:
            crossed = _crossed(row, margins.floor(row["condition"], row["metric"]), cards)
        verdict, rule = _verdict(row, gaps.get(place), crossed, same=pair not in other_machine)
        detectable = math.nan
        if verdict == "inconclusive" and row["judged"]:
            detectable = _detectable(row, comparisons)
        found.append(as_cell(row, verdict, rule, detectable))

    remarks = _remarks(baseline, now)
    if any(cell.verdict == "regressed" and cell.rule.startswith(CHANGED) for cell in found):
        remarks.append(
            f"{CHANGED}: under attack or shift, and for entropies, a change in either direction "
            "counts; if it is intended, renew the baseline"
        )
    if other_settings and any(margins.floors.values()):
        named = _listed(other_settings)
        remarks.append(f"floors do not apply to runs with other settings than the suite's: {named}")
    commands = tuple(to_run(baseline, now))
    return Verdicts(tuple(found), commands, tuple(remarks), about=now.about)


def _same_machine(key: RunKey, baseline: SuiteResults, now: SuiteResults) -> bool:
    """Whether both runs were made in one CPU environment, where equal code gives equal digits."""
    environment = baseline.on_cpu(key)
    return environment is not None and environment == now.on_cpu(key)


def _with_tests(cells: pd.DataFrame, whole: np.ndarray) -> pd.DataFrame:
    """Add the interval of the change and, for ``judged`` cells, adjusted p-values.

    ``p`` is for a change for the worse, or for any change of a two-sided cell; ``p_better`` for one
    for the better.
    """
    cells = with_intervals(cells, whole).assign(p_better=math.nan)
    # Fewer seeds never fail a build. Cells that are equal to the last digit have no t: a fault in
    # one score is not excused because 200 others stayed the same.
    cells["judged"] = cells["t"].notna() & (cells["seeds"] >= FEWEST)
    judged = cells[cells["judged"]]
    if judged.empty:
        return cells

    two = judged["two_sided"].to_numpy()
    up = stats.t.sf(judged["t"], judged["freedom"])
    down = stats.t.cdf(judged["t"], judged["freedom"])
    cells.loc[judged.index, "p"] = holm(np.where(two, 2 * np.minimum(up, down), up))
    cells.loc[judged.index[~two], "p_better"] = holm(down[~two])
    return cells


def _crossed(row: Row, floor: float | None, cards: Cards) -> str:
    """In words, which floor the mean of a cell has crossed; empty if none."""
    if floor is None:
        return ""
    higher = cards[row["metric"]].direction == "higher"
    if higher and row["second"] < floor:
        return f"below the floor {floor:g}"
    if not higher and row["second"] > floor:
        return f"above the floor {floor:g}"
    return ""


def _verdict(row: Row, gap: Gap | None, crossed: str, *, same: bool) -> tuple[str, str]:
    """The verdict on a cell, and the rule that decided; ``crossed`` names a floor in words."""
    if gap and gap[0] in FATAL:
        return gap
    # A floor needs no test: it says what the mean may never be.
    if crossed:
        return "regressed", crossed

    verdict, rule = _by_numbers(row)
    if gap and verdict not in FATAL:
        return gap
    if verdict == "pass" and same and not row["equal"]:
        return "changed", f"same environment, but other digits; {rule}"
    return verdict, rule


def _by_numbers(row: Row) -> tuple[str, str]:
    """The verdict by the shared seeds alone."""
    if row["equal"]:
        return "pass", "equal to the last digit"

    better = -row["change"] > row["margin"]
    worse, what = row["change"] > row["margin"], "worse"
    if row["two_sided"]:
        worse, what = worse or better, CHANGED
    rule = f"{what} by more than its margin"
    if worse and not row["judged"]:
        rule = f"{rule}, but only {row['seeds']} seeds: a decision needs at least {FEWEST}"
        return "inconclusive", rule

    p = f"p {as_read(row['p'])}"
    if worse and row["p"] <= ALPHA:
        return "regressed", f"{rule}, {p}"
    if worse and row["p"] <= SUSPICION:
        return "inconclusive", f"{rule}, {p}: more seeds would decide"
    if worse:
        return "pass", f"{rule}, but not significantly: {p}"
    if better and row["p_better"] <= ALPHA:
        return "improved", f"better by more than its margin, p {as_read(row['p_better'])}"
    return "pass", "within its margin"


def _detectable(row: Row, comparisons: int) -> float:
    """The change, on the cell's scale, that its seeds would find among so many comparisons."""
    deviation, sides = row["error"] * math.sqrt(row["seeds"]), 1 + int(row["two_sided"])
    return detectable_difference(
        deviation, row["seeds"], comparisons, freedom=row["freedom"], sides=sides
    )


def _remarks(baseline: SuiteResults, now: SuiteResults) -> list[str]:
    """Facts that differ, copies that do not count, and methods that the baseline does not have."""
    methods: dict[str, set[str]] = {}
    for key, differing in unlike(baseline, now).items():
        for name, (was, is_now) in differing.items():
            # One labelled set per seed is too much to list.
            if " of " not in name:
                remark = f"{name}: {was} in the baseline, {is_now} now"
                methods.setdefault(remark, set()).add(key[1])
    remarks = [f"{remark} ({', '.join(sorted(methods[remark]))})" for remark in sorted(methods)]
    if remarks:
        remarks.append("not alike: undo the difference, or renew the baseline if it is intended")
    for (dataset, method, seed), reason in sorted(now.left_out.items()):
        remarks.append(f"not counted: {method} on {dataset}, seed {seed}: {reason}")

    new = now.pairs - baseline.pairs
    if new:
        remarks.append(f"not in the baseline, so not checked: {_listed(new)}")
    return remarks


def _listed(pairs: Collection[tuple[str, str]]) -> str:
    """Methods with their datasets, sorted."""
    return ", ".join(f"{method} on {dataset}" for dataset, method in sorted(pairs))
