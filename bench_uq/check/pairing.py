"""Two sides laid over each other: each score of one seed beside its twin, and summed up cell by cell over the seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from bench_uq.check.results import CELL, Side
from bench_uq.check.scales import SCALES, UNKNOWN_EXAMPLES, scale_of
from bench_uq.check.variances import moderated
from bench_uq.score.statistics import ALPHA

#: A cell as a record of columns.
Row = Mapping[Any, Any]

#: What tells the examples behind one score from those behind another.
_SHOWN = ["dataset", "method", "condition", "level", "seed"]


def paired(first: Side, second: Side, how: Literal["left", "outer"] = "left") -> pd.DataFrame:
    """Return a row a score and seed of the first side (``how``: pandas' merge) with its twin's value, NaN without.

    Columns: those of CELL, seed, ``first``, ``second``, ``there`` (whether both sides have the score, finite or not),
    ``examples`` (the fewest of both sides).
    """
    sides = [
        side.scores.rename(columns={"value": name})
        for side, name in ((first, "first"), (second, "second"))
    ]
    rows = sides[0].merge(sides[1], on=[*CELL, "seed"], how=how, indicator="there")
    rows["there"] = rows["there"] == "both"
    for name in ("first", "second"):
        rows[name] = rows[name].where(np.isfinite(rows[name]))  # an infinite score is no score
    rows["examples"] = np.fmin(*(_examples(side, rows) for side in (first, second)))
    rows["examples"] = rows["examples"].fillna(UNKNOWN_EXAMPLES).clip(lower=1)
    return rows


def _examples(side: Side, rows: pd.DataFrame) -> np.ndarray:
    """Return how many examples stand behind each row, NaN where the side does not say."""
    known = side.scores[side.scores["metric"] == "examples"][[*_SHOWN, "value"]]
    return rows[_SHOWN].merge(known, on=_SHOWN, how="left")["value"].to_numpy(float)


def place_of(rows: pd.DataFrame) -> np.ndarray:
    """Return the place of each row's cell among all, in the order of CELL."""
    return rows.groupby(CELL, dropna=False, sort=True, observed=True).ngroup().to_numpy()


def real_targets(*sides: Side) -> set[str]:
    """Return the datasets whose targets are real numbers."""
    return {
        name
        for side in sides
        for name in side.scores.loc[side.scores["metric"] == "rmse", "dataset"].unique()
    }


def summed(rows: pd.DataFrame, real: set[str]) -> pd.DataFrame:
    """Return a row a cell, in the order of CELL, summed up over the seeds at which both sides have a value.

    Columns: those of CELL, ``scale``, ``margin`` on it, ``seeds``, ``first`` and ``second`` (means), ``equal`` (to the
    last digit at every seed), ``change`` and ``variance``: mean and variance over seeds of second - first on the scale.
    """
    number = place_of(rows)
    cells = rows.iloc[np.unique(number, return_index=True)[1]][[*CELL, "margin"]].reset_index(
        drop=True
    )
    named = zip(cells["metric"], cells["dataset"], strict=True)
    cells["scale"] = [scale_of(metric, real_targets=dataset in real) for metric, dataset in named]
    cells["margin"] = [
        SCALES[scale].margin(told)
        for scale, told in zip(cells["scale"], cells["margin"], strict=True)
    ]
    values = {name: rows[name].to_numpy(float) for name in ("first", "second")}
    both = np.isfinite(values["first"]) & np.isfinite(values["second"])
    difference = _differences(rows, cells["scale"].to_numpy(str)[number])[both]
    number = number[both]

    def total(weights: np.ndarray) -> np.ndarray:
        return np.bincount(number, weights=weights, minlength=len(cells))

    count = total(np.ones(len(number)))
    known = np.where(count > 0, count, np.nan)
    cells["seeds"] = count.astype(int)
    for name, value in values.items():
        cells[name] = total(value[both]) / known
    cells["equal"] = (count > 0) & (total((values["first"] != values["second"])[both]) == 0)
    cells["change"] = total(difference) / known
    deviation = difference - cells["change"].to_numpy()[number]
    cells["variance"] = total(deviation**2) / np.where(count > 1, count - 1, np.nan)
    return cells


def _differences(rows: pd.DataFrame, scales: np.ndarray) -> np.ndarray:
    """Return second - first of each row on its scale."""
    found = np.full(len(rows), np.nan)
    for name in np.unique(scales):
        own = scales == name
        first, second, examples = (
            rows[column].to_numpy(float)[own] for column in ("first", "second", "examples")
        )
        found[own] = SCALES[name].of(second, examples) - SCALES[name].of(first, examples)
    return found


def with_intervals(cells: pd.DataFrame, chosen: np.ndarray) -> pd.DataFrame:
    """Return cells with ``t``, its ``freedom``, the standard ``error`` of the change, its interval from ``low`` to
    ``high`` at 1 - ALPHA, and no ``p`` yet; NaN but for those of the ``chosen`` that share two seeds and are not equal.

    Spreads are moderated metric by metric; less than a quarter of the margin is never believed.
    """
    cells = cells.assign(**dict.fromkeys(("t", "freedom", "error", "low", "high", "p"), np.nan))
    changed = np.flatnonzero(chosen & (cells["seeds"] > 1) & ~cells["equal"])
    if len(changed):
        found = _tested(cells.iloc[changed])
        cells.loc[changed, found.columns] = found
    return cells


def _tested(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that ``with_intervals`` adds, of these cells."""
    seeds, change = cells["seeds"].to_numpy(float), cells["change"].to_numpy(float)
    own, floor = cells["variance"].to_numpy(float), np.square(cells["margin"].to_numpy(float) / 4)
    units = cells.groupby(["dataset", "method"], sort=False).ngroup().to_numpy()
    variance, freedom = np.empty(len(cells)), np.empty(len(cells))
    for alike in cells.groupby(["metric", "scale"], sort=False).indices.values():
        variance[alike], freedom[alike] = moderated(
            own[alike], seeds[alike] - 1, units[alike], floor[alike]
        )
    error = np.sqrt(variance / seeds)
    half = stats.t.ppf(1 - ALPHA / 2, freedom) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(change == 0, 0.0, change / error)
    columns = {
        "t": t,
        "freedom": freedom,
        "error": error,
        "low": change - half,
        "high": change + half,
    }
    return pd.DataFrame(columns, index=cells.index)
