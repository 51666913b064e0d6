"""Comparisons of methods, score by score and across datasets."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench_uq.api.metric import Metric
from bench_uq.score.cards import Cards
from bench_uq.score.convergence import by_seed, settled
from bench_uq.score.results import Results, as_level
from bench_uq.score.statistics import ALPHA, Comparison, Ranks, compare, ranks
from bench_uq.score.summaries import Scored
from bench_uq.store.derived import GROUP_COLUMNS


def found_from(card: Metric, comparison: Comparison, best: float) -> float:
    """The smallest difference from the best that so many seeds find; ∞ if none, NaN if unknown.

    With few seeds and many methods it is more than a score can differ by from ``best``, the mean
    of the best: then no difference is found.
    """
    low, high = card.bounds
    if comparison.detectable >= max(best - low, high - best):
        return math.inf
    return comparison.detectable


def zero_on_clean(results: Results, metric: str) -> frozenset[str]:
    """The methods on one dataset of whom a metric is 0 on clean data with every seed."""
    scores = results.scores
    rows = scores[(scores["metric"] == metric) & (scores["condition"] == "clean")]
    groups = rows.groupby("method", observed=True)["value"]
    return frozenset(str(method) for method, own in groups if (own == 0).all())


def verdicts(
    results: Results,
    cards: Cards,
    methods: Sequence[str],
    unjudged: Mapping[str, Collection[str]],
) -> dict[Scored, Comparison]:
    """Compare methods at each score on one dataset; a score that two do not share is left out.

    ``unjudged`` are methods that a metric cannot judge, by metric: they take no part in it. A claim
    that turns at another budget is not made.
    """
    scores = results.scores
    directed = [id for id in cards if cards[id].direction != "none"]
    scores = scores[scores["method"].isin(methods) & scores["metric"].isin(directed)]
    grouped = GROUP_COLUMNS[0] in scores and one_test_set(results)

    elsewhere = []
    for budget, other in results.others.items():
        elsewhere.append((budget, _places(other.scores)))

    found = {}
    groups: Any = scores.groupby(["condition", "level", "metric"], dropna=False, observed=True)
    for (condition, level, metric), rows in groups:
        blank = unjudged.get(metric, ())
        judged = [method for method in methods if method not in blank]
        direction = cards[metric].direction
        groups = groups_by_seed(rows[rows["method"].isin(judged)]) if grouped else {}
        comparison = compare(_by_seed(rows, judged), direction, groups)
        if comparison is None:
            continue

        scored = (condition, as_level(level), metric)
        if comparison.worse:
            there = [(budget, values.get(scored, {})) for budget, values in elsewhere]
            comparison = settled(comparison, there, direction)
        found[scored] = comparison
    return found


def _places(scores: pd.DataFrame) -> dict[Scored, dict[str, dict[int, float]]]:
    """Values by method and seed, at each place."""
    found = {}
    groups: Any = scores.groupby(["condition", "level", "metric"], dropna=False, observed=True)
    for (condition, level, metric), rows in groups:
        found[condition, as_level(level), metric] = by_seed(rows)
    return found


def _by_seed(rows: pd.DataFrame, methods: Sequence[str]) -> dict[str, dict[int, float]]:
    """The value of each seed of the methods that have one, in the order of ``methods``."""
    # A missing value stays: a method that has one is compared with none.
    values = by_seed(rows)
    return {method: values[method] for method in methods if method in values}


def one_test_set(results: Results) -> bool:
    """Whether all finished runs on one dataset were tested on the same examples.

    Where each seed has its own, as folds have, seeds alone vary by the choice of examples too.
    """
    runs = results.runs[results.runs["status"] == "ok"]
    return "labels" in runs and len(set(runs["labels"]) - {""}) == 1


def groups_by_seed(rows: pd.DataFrame) -> dict[str, dict[int, np.ndarray]]:
    """The pseudo-values of one score by method and seed; empty unless all runs have them."""
    table = rows[list(GROUP_COLUMNS)].to_numpy(float)
    if not np.isfinite(table).all():
        return {}
    found: dict[str, dict[int, np.ndarray]] = {}
    for method, seed, own in zip(rows["method"], rows["seed"], table, strict=True):
        found.setdefault(str(method), {})[int(seed)] = own
    return found


@dataclass(frozen=True)
class Ranking:
    """The ranks of one score over some datasets, None if there are none.

    ``methods`` and ``datasets`` were left out, because they lack values.
    """

    ranks: Ranks | None
    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    over: tuple[str, ...] = ()

    @property
    def tells(self) -> bool:
        """Whether the order is significant: by Friedman's test, and if ranks can differ enough."""
        # Mean ranks of so many methods differ by at most their number less one.
        if self.ranks is None or self.ranks.critical >= len(self.ranks.mean) - 1:
            return False
        return math.isnan(self.ranks.p) or self.ranks.p <= ALPHA

    def __str__(self) -> str:
        """Name the methods and datasets that were left out, empty if none were."""
        parts = []
        for noun, names in (("method", self.methods), ("dataset", self.datasets)):
            if names:
                parts.append(f"{noun} {', '.join(names)}")

        return f"left out for missing values or other settings: {'; '.join(parts)}" if parts else ""


def ranking(results: Results, metric: Metric) -> Ranking:
    """Rank the methods of a suite over its datasets by their means on clean data.

    If a seed lacks a value, there is no mean; the methods or the datasets that lack one are left
    out, whichever keeps more values. A dataset with fewer than two methods ranks nothing. The
    value of a method that is not alike counts as missing.
    """
    scores = results.scores
    rows = scores[(scores["metric"] == metric.id) & (scores["condition"] == "clean")]
    for dataset in results.datasets:
        apart = rows["method"].isin(results.apart(dataset))
        rows = rows[~(apart & (rows["dataset"] == dataset))]
    if metric.direction == "none" or rows["value"].isna().all():
        return Ranking(None)

    groups = rows.groupby(["method", "dataset"], observed=True)["value"]
    means = groups.agg(lambda values: values.mean(skipna=False)).unstack("dataset")
    table = means.loc[:, means.notna().sum() > 1]
    by_method, by_dataset = table.dropna(axis="index"), table.dropna(axis="columns")
    larger = min(by_dataset.shape) >= 2 and by_dataset.size > by_method.size
    table = by_dataset if min(by_method.shape) < 2 or larger else by_method

    whole, lacking = dict[str, Any](), list[str]()
    for method in results.methods:
        if method in table.index:
            whole[method] = dict(table.loc[method])
        else:
            lacking.append(method)

    # A table of none of the methods would still have its columns.
    ranked = None
    if min(table.shape) >= 2:
        ranked = ranks(whole, metric.direction)
    datasets = means.columns.difference(table.columns, sort=False)
    return Ranking(
        ranked, tuple(lacking), tuple(map(str, datasets)), tuple(map(str, table.columns))
    )
