"""Two results paired seed by seed, and summarised over the seeds of each cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from bench_uq.check.results import CELL, SuiteResults
from bench_uq.check.scales import SCALES, UNKNOWN_EXAMPLES, scale_of
from bench_uq.check.variances import moderated
from bench_uq.score.cards import Cards
from bench_uq.score.statistics import ALPHA

#: A cell as a record of columns.
Row = Mapping[Any, Any]

#: The columns that identify a set of evaluated examples.
_EVALUATION = ["dataset", "method", "condition", "level", "seed"]


def paired(
    first: SuiteResults, second: SuiteResults, how: Literal["left", "outer"] = "left"
) -> pd.DataFrame:
    """One row per score and seed of the first results, beside the second's value, NaN if absent.

    ``how`` is pandas' merge. Columns: those of CELL, seed, ``first``, ``second``, ``there``
    (whether both have the score, finite or not), ``examples`` (the smaller number of the two).
    """
    left = first.scores.rename(columns={"value": "first"})
    right = second.scores.rename(columns={"value": "second"})
    rows = left.merge(right, on=[*CELL, "seed"], how=how, indicator="there")
    rows["there"] = rows["there"] == "both"
    # An infinite score counts as none.
    for name in ("first", "second"):
        rows[name] = rows[name].where(np.isfinite(rows[name]))

    # Odds and logs are clipped at half an example, so the smaller set of examples decides.
    rows["examples"] = np.fmin(_examples(first, rows), _examples(second, rows))
    rows["examples"] = rows["examples"].fillna(UNKNOWN_EXAMPLES).clip(lower=1)
    return rows


def _examples(results: SuiteResults, rows: pd.DataFrame) -> np.ndarray:
    """Number of examples behind each row, NaN if unknown."""
    scores = results.scores
    known = scores[scores["metric"] == "examples"][[*_EVALUATION, "value"]]
    return rows[_EVALUATION].merge(known, on=_EVALUATION, how="left")["value"].to_numpy(float)


def place_of(rows: pd.DataFrame) -> np.ndarray:
    """Index of each row's cell, in the order of CELL."""
    return rows.groupby(CELL, dropna=False, sort=True, observed=True).ngroup().to_numpy()


def real_targets(cards: Cards, *compared: SuiteResults) -> set[str]:
    """The datasets with real targets, which have scores that no other task has."""
    real = [id for id in cards if cards[id].is_real]
    found = set[str]()
    for results in compared:
        scores = results.scores
        found.update(scores.loc[scores["metric"].isin(real), "dataset"].unique())
    return found


def summed(rows: pd.DataFrame, real: set[str], cards: Cards) -> pd.DataFrame:
    """One row per cell, in the order of CELL, over the seeds at which both have a value.

    Columns: those of CELL, ``scale``, ``margin`` on it, ``seeds``, ``first`` and ``second``
    (means), ``equal`` (to the last digit at every seed), ``change`` and ``variance``: mean and
    variance over seeds of second - first on the scale.
    """
    place = place_of(rows)
    first_rows = np.unique(place, return_index=True)[1]
    cells = rows.iloc[first_rows][[*CELL, "margin"]].reset_index(drop=True)
    _set_scales(cells, real, cards)

    first, second = rows["first"].to_numpy(float), rows["second"].to_numpy(float)
    both = np.isfinite(first) & np.isfinite(second)
    difference = _differences(rows, cells["scale"].to_numpy(str)[place])[both]
    place, first, second = place[both], first[both], second[both]

    def total(weights: np.ndarray) -> np.ndarray:
        return np.bincount(place, weights=weights, minlength=len(cells))

    # Division by NaN gives NaN without the warning of 0 / 0.
    count = total(np.ones(len(place)))
    known = np.where(count > 0, count, np.nan)
    cells["seeds"] = count.astype(int)
    cells["first"] = total(first) / known
    cells["second"] = total(second) / known
    cells["equal"] = (count > 0) & (total(first != second) == 0)

    cells["change"] = total(difference) / known
    deviation = difference - cells["change"].to_numpy()[place]
    cells["variance"] = total(deviation**2) / np.where(count > 1, count - 1, np.nan)
    return cells


def _set_scales(cells: pd.DataFrame, real: set[str], cards: Cards) -> None:
    """Add the name of each cell's scale, and express its margin on that scale."""
    scales, margins = [], []
    columns = cells["metric"], cells["dataset"], cells["margin"]
    for metric, dataset, margin in zip(*columns, strict=True):
        scales.append(scale_of(cards[metric], real_targets=dataset in real))
        margins.append(SCALES[scales[-1]].margin(margin))
    cells["scale"], cells["margin"] = scales, margins


def _differences(rows: pd.DataFrame, scales: np.ndarray) -> np.ndarray:
    """second - first of each row, on its scale."""
    first, second, examples = (
        rows[name].to_numpy(float) for name in ("first", "second", "examples")
    )
    found = np.full(len(rows), np.nan)
    for name in np.unique(scales):
        own, of = scales == name, SCALES[name].of
        found[own] = of(second[own], examples[own]) - of(first[own], examples[own])
    return found


def with_intervals(cells: pd.DataFrame, chosen: np.ndarray) -> pd.DataFrame:
    """Add ``t``, its ``freedom``, the standard ``error`` of the change and its interval.

    The interval goes from ``low`` to ``high`` at 1 - ALPHA; ``p`` is still NaN. All are NaN except
    for ``chosen`` cells with at least two shared seeds that are not equal.
    """
    cells = cells.assign(**dict.fromkeys(("t", "freedom", "error", "low", "high", "p"), np.nan))
    changed = np.flatnonzero(chosen & (cells["seeds"] > 1) & ~cells["equal"])
    if len(changed):
        found = _intervals(cells.iloc[changed])
        cells.loc[changed, found.columns] = found
    return cells


def _intervals(cells: pd.DataFrame) -> pd.DataFrame:
    """The columns that ``with_intervals`` adds. Variances are moderated within each metric."""
    seeds, change = cells["seeds"].to_numpy(float), cells["change"].to_numpy(float)
    own = cells["variance"].to_numpy(float)
    # Seeds may agree by chance: the standard deviation is at least a quarter of the margin.
    floor = np.square(cells["margin"].to_numpy(float) / 4)
    units = cells.groupby(["dataset", "method"], sort=False).ngroup().to_numpy()

    # Not pooled: methods differ too much in how they vary, and an unchanged suite would fail in a
    # quarter of all builds.
    variance, freedom = np.empty(len(cells)), np.empty(len(cells))
    for alike in cells.groupby(["metric", "scale"], sort=False).indices.values():
        variance[alike], freedom[alike] = moderated(
            own[alike], seeds[alike] - 1, units[alike], floor[alike]
        )

    error = np.sqrt(variance / seeds)
    half = stats.t.ppf(1 - ALPHA / 2, freedom) * error
    # With a margin of 0 the error may be 0, and t infinite.
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(change == 0, 0.0, change / error)

    columns = {"t": t, "freedom": freedom, "error": error}
    columns |= {"low": change - half, "high": change + half}
    return pd.DataFrame(columns, index=cells.index)
