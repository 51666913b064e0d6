"""Which methods are best, score by score, as far as the seeds can tell; nothing is claimed of unconverged runs."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench_uq.score.results import Results
from bench_uq.score.statistics import ALPHA, Comparison, Ranks, compare, ranks
from bench_uq.score.summaries import Scored, directions


def without_draws(results: Results) -> frozenset[str]:
    """The methods on one dataset whose draws never differ: mutual information detects nothing."""
    scores = results.scores
    rows = scores[(scores["metric"] == "epistemic") & (scores["condition"] == "clean")]
    groups = rows.groupby("method", observed=True)["value"]
    return frozenset(str(method) for method, own in groups if (own == 0).all())


def verdicts(
    results: Results, methods: Sequence[str], blank: Collection[str]
) -> dict[Scored, Comparison]:
    """Compare some methods at each score on one dataset; a score that two do not share is left out.

    The mutual information of ``blank`` methods is 0 everywhere: they take no part in its scores.
    """
    known, scores = directions(), results.scores
    meaningless = scores["metric"].str.endswith("_epistemic") & scores["method"].isin(blank)
    directed = scores["metric"].map(known.get).isin(("higher", "lower"))
    scores = scores[~meaningless & scores["method"].isin(methods) & directed]

    found = {}
    groups: Any = scores.groupby(["condition", "level", "metric"], dropna=False, observed=True)
    for (condition, level, metric), rows in groups:
        comparison = compare(_by_seed(rows, methods), known[metric])
        if comparison is not None:
            found[condition, None if math.isnan(level) else float(level), metric] = comparison
    return found


def _by_seed(rows: pd.DataFrame, methods: Sequence[str]) -> dict[str, dict[int, float]]:
    """The value of each seed of the methods that have one, in the order of ``methods``."""
    values: dict[str, dict[int, float]] = {method: {} for method in methods}
    # A missing value stays: a method that has one is compared with none.
    for row in rows[["method", "seed", "value"]].itertuples(index=False, name=None):
        method, seed, value = row
        values[method][seed] = value
    return {method: own for method, own in values.items() if own}


@dataclass(frozen=True)
class Ranking:
    """The ranks of one score, None where there are none, and what was left out for lack of a value."""

    ranks: Ranks | None
    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()

    @property
    def tells(self) -> bool:
        """Tell whether datasets say anything of the order: Friedman's test does, and ranks can be far enough apart."""
        if self.ranks is None or self.ranks.critical >= len(self.ranks.mean) - 1:
            return False
        return math.isnan(self.ranks.p) or self.ranks.p <= ALPHA

    def __str__(self) -> str:
        """Say what was left out, empty where nothing was."""
        parts = [
            f"{noun} {', '.join(names)}"
            for noun, names in (("method", self.methods), ("dataset", self.datasets))
            if names
        ]
        return f"left out, not all values are there: {'; '.join(parts)}" if parts else ""


def ranking(results: Results, metric: str) -> Ranking:
    """Rank the methods of a whole suite over its datasets by their means on clean data.

    Where values are missing, methods without all of them are left out, or datasets, whatever leaves more of the table.
    A dataset that fewer than two methods have ranks nothing.
    """
    direction = directions().get(metric, "none")
    scores = results.scores
    rows = scores[(scores["metric"] == metric) & (scores["condition"] == "clean")].dropna(
        subset="value"
    )
    if direction == "none" or rows.empty:
        return Ranking(None)
    means = rows.groupby(["method", "dataset"], observed=True)["value"].mean().unstack("dataset")
    table = means.loc[:, means.notna().sum() > 1]
    by_method, by_dataset = table.dropna(axis="index"), table.dropna(axis="columns")
    if min(by_method.shape) < 2 or (
        min(by_dataset.shape) >= 2 and by_dataset.size > by_method.size
    ):
        table = by_dataset
    else:
        table = by_method
    whole = {method: dict(table.loc[method]) for method in results.methods if method in table.index}
    return Ranking(
        ranks(whole, direction) if min(table.shape) >= 2 else None,
        tuple(method for method in results.methods if method not in whole),
        tuple(str(dataset) for dataset in means.columns if dataset not in table.columns),
    )
