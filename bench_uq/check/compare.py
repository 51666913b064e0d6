"""Two results side by side, neither of them the baseline of the other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from bench_uq.api.errors import UsageError, unknown
from bench_uq.check.formats import FORMATS
from bench_uq.check.margins import gated
from bench_uq.check.pairing import Row, paired, place_of, real_targets, summed, with_intervals
from bench_uq.check.results import SuiteResults, narrowed, read_results, unlike
from bench_uq.check.verdicts import Verdicts, as_cell, as_read
from bench_uq.plan.plugins import Plugins
from bench_uq.score.cards import Cards
from bench_uq.score.likeness import concerns
from bench_uq.score.statistics import ALPHA, holm

SAME = "not significantly different"
#: All verdicts of a comparison; the last two are about cells that show no difference.
COMPARED = (
    *("not alike", "better in A", "better in B", "different", "only in A", "only in B"),
    "no finite value",
    *(SAME, "equal"),
)
#: The margin of scores that are not gated; here it only limits how small a variance may be.
NO_MARGIN = 0.1


def compare(
    first: Path,
    second: Path,
    *,
    methods: Sequence[str] = (),
    datasets: Sequence[str] = (),
    metrics: Collection[str] = (),
    plugins: Sequence[Path] = (),
    everything: bool = False,
    form: str = "text",
) -> Verdicts:
    """Compare two results, suites' folders or baselines: A, the first, and B, the second.

    ``metrics`` are by default those that are gated. ``plugins`` are files with metrics.
    ``everything`` adds the cells without a difference to ``text``.
    """
    a, b = narrowed([read_results(first), read_results(second)], methods, datasets)
    found = compared(a, b, metrics, Cards(Plugins(tuple(plugins)).metrics()))
    if everything:
        found = replace(found, quiet=())

    return replace(found, text=FORMATS[form](found, f"A {first}, B {second}"))


def compared(
    first: SuiteResults,
    second: SuiteResults,
    metrics: Collection[str] = (),
    cards: Cards | None = None,
) -> Verdicts:
    """The verdict on each score of A, the first results, or B, the second.

    Student's t over the seeds that both have, with the scales and variances of ``check``,
    two-sided, Holm over all scores that are not equal to the last digit.
    """
    cards = cards or Cards()
    margins = gated(cards)
    rows = paired(first, second, how="outer")
    known = set(map(str, rows["metric"].unique()))
    for name in metrics:
        if name not in known:
            raise unknown(f"metric in {first.name} or {second.name}", name, known)
    rows = rows[rows["metric"].isin(metrics or margins)].reset_index(drop=True)
    if rows.empty:
        raise UsageError(f"{first.name} and {second.name} hold no score to compare")

    rows["margin"] = rows["metric"].map(lambda metric: margins.get(metric, NO_MARGIN))
    place = place_of(rows)
    cells = summed(rows, real_targets(cards, first, second), cards)
    for name in ("first", "second"):
        values = np.bincount(place, weights=rows[name].notna(), minlength=len(cells))
        cells[f"in_{name}"] = values > 0

    # Without the seeds at which a score is infinite, its mean would be one of the easier seeds.
    holes = rows["there"] & rows[["first", "second"]].isna().any(axis=1)
    cells["lacking"] = np.bincount(place, weights=holes, minlength=len(cells)).astype(int)
    cells.loc[cells["lacking"] > 0, ["first", "second", "change"]] = np.nan

    cells["unlike"] = _unlike(cells, first, second)
    alike = (cells["unlike"] == "").to_numpy()
    cells = with_intervals(cells, alike & (cells["lacking"].to_numpy() == 0))
    # Cells that are equal to the last digit are no comparisons: they do not weigh on the others.
    tested = cells["t"].notna()
    if tested.any():
        two_sided = 2 * stats.t.sf(cells["t"].abs(), cells["freedom"])[tested.to_numpy()]
        cells.loc[tested, "p"] = holm(two_sided)

    found = [as_cell(row, *_verdict(row, cards)) for row in cells.to_dict("records")]
    about = first.about.laid_over(second.about)
    quiet = COMPARED[-2:]
    return Verdicts(tuple(found), order=COMPARED, quiet=quiet, names=("A", "B"), about=about)


def _unlike(cells: pd.DataFrame, first: SuiteResults, second: SuiteResults) -> list[str]:
    """In words, how the runs behind each cell differ in settings or data; empty for most."""
    methods: dict[tuple[str, str], dict[str, str]] = {}
    for key, differing in sorted(unlike(first, second).items()):
        for fact, (a, b) in differing.items():
            methods.setdefault(key[:2], {}).setdefault(fact, f"{fact} {a} in A, {b} in B")

    told = []
    places = cells[["dataset", "method", "condition"]].itertuples(index=False, name=None)
    for dataset, method, condition in places:
        facts = methods.get((dataset, method), {})
        told.append(", ".join(facts[fact] for fact in facts if concerns(fact, condition)))
    return told


def _verdict(row: Row, cards: Cards) -> tuple[str, str]:
    """The verdict on one score, and its reason."""
    if row["unlike"]:
        return "not alike", row["unlike"]
    if not (row["in_first"] or row["in_second"]):
        return "no finite value", "no finite value in either"
    if not row["in_second"]:
        return "only in A", "no finite value in B"
    if not row["in_first"]:
        return "only in B", "no finite value in A"
    if row["lacking"]:
        return "no finite value", f"no finite value at {row['lacking']} of the shared seeds"
    if row["equal"]:
        return "equal", f"equal to the last digit at {row['seeds']} seeds"
    if row["seeds"] < 2:
        return SAME, f"{row['seeds']} seeds in common: a test needs 2"

    p = f"p {as_read(row['p'])}, {row['seeds']} seeds"
    if row["p"] > ALPHA:
        return SAME, p
    # On every scale a larger value is worse, so a positive change is one for the worse in B.
    if cards[row["metric"]].direction == "none":
        return "different", p
    if row["change"] > 0:
        return "better in A", p
    return "better in B", p
