"""Sum scores and curves up over the finished seeds; a hole is counted, never averaged over in silence."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import pandas as pd

from bench_uq.plan.plugins import Plugins
from bench_uq.score.labels import family
from bench_uq.score.results import Results
from bench_uq.store import many_rows

#: Where a number stands: method, condition, level (None where there is none), metric.
Place = tuple[str, str, float | None, str]
#: A score of all methods: condition, level, metric.
Scored = tuple[str, float | None, str]
#: What a trained model was shown: a condition, and its level if it has levels.
Shown = tuple[str, float | None]


@dataclass(frozen=True)
class Summary:
    """One score over the seeds that have it; ``sd`` is the sample standard deviation, NaN for one seed."""

    mean: float
    sd: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Curve:
    """The mean of a curve over the seeds that have it, NaN at places x where one of them has no value."""

    x: np.ndarray
    y: np.ndarray
    seeds: int


@lru_cache(maxsize=16)
def summarise(results: Results) -> dict[Place, Summary]:
    """Return every score on one dataset, summed up over its seeds; a missing value is no value."""
    keys = ["method", "condition", "level", "metric"]
    groups = results.scores.dropna(subset="value").groupby(keys, dropna=False, observed=True)[
        "value"
    ]
    table = groups.agg(["mean", "std", "min", "max", "count"])
    return {
        (method, condition, None if math.isnan(level) else float(level), metric): Summary(
            mean, sd, low, high, int(seeds)
        )
        for (method, condition, level, metric), mean, sd, low, high, seeds in table.itertuples(
            name=None
        )
    }


def costs(results: Results, names: Iterable[str]) -> dict[Place, Summary]:
    """Return what the finished runs on one dataset cost, by columns of runs.csv, as scores of a condition ``cost``.

    Memory is in MB.
    """
    runs = results.runs[results.runs["status"] == "ok"]
    runs = runs.assign(peak_memory=runs["peak_memory"] / 1e6)
    found: dict[Place, Summary] = {}
    for method, own in runs.groupby("method", observed=True):
        for name in names:
            values = own[name].dropna()
            if len(values):
                mean, sd, low, high = (
                    float(value) for value in values.agg(["mean", "std", "min", "max"])
                )
                found[str(method), "cost", None, name] = Summary(mean, sd, low, high, len(values))
    return found


@cache
def directions() -> dict[str, str]:
    """Return the direction of every metric that has a card."""
    return {id: metric.direction for id, metric in Plugins().metrics().items()}


def unseen_conditions(results: Results) -> list[str]:
    """Return the names of the unseen data: the conditions without levels beside the clean data."""
    return sorted(
        {condition for condition, level, _ in _stored(results) if level is None}
        - {"clean", "train"}
    )


@lru_cache(maxsize=16)
def levels(results: Results) -> dict[str, list[float]]:
    """Return the sorted levels of each condition that has levels."""
    scores = results.scores.dropna(subset="level")
    return {
        str(name): sorted(group["level"].unique())
        for name, group in scores.groupby("condition", observed=True)
    }


@lru_cache(maxsize=16)
def _stored(results: Results) -> frozenset[tuple[str, float | None, str]]:
    """Return condition, level and method of all scores and curves."""
    keys = ["condition", "level", "method"]
    return frozenset(
        (condition, None if math.isnan(level) else level, method)
        for frame in (results.scores, results.curves)
        for (condition, level, method), _ in many_rows.distinct(frame, keys)
    )


def kinds_last(conditions: Iterable[str]) -> list[str]:
    """Return conditions with one of each family first: where not all find room, kinds of one do not take it all."""
    seen, first, others = set[str](), list[str](), list[str]()
    for condition in conditions:
        (others if family(condition) in seen else first).append(condition)
        seen.add(family(condition))
    return [*first, *others]


def methods_shown(results: Results, conditions: Iterable[str]) -> list[str]:
    """Return the methods but those trained elsewhere that were never to be shown one of these conditions."""
    asked = set(conditions)
    measured = {method for condition, _, method in _stored(results) if condition in asked}
    return [name for name in results.methods if name in measured or not results.seeds(name).unknown]


def shown(results: Results) -> list[Shown]:
    """Return what figures of entropy compare: clean data, unseen data, and each attack or shift at its strongest."""
    known = levels(results)
    strongest = [(condition, max(known[condition])) for condition in kinds_last(known)]
    return [("clean", None), *((name, None) for name in unseen_conditions(results)), *strongest]


def curve_table(results: Results, name: str, method: str, where: Shown) -> pd.DataFrame:
    """Return one curve of a method as a table of x by seed."""
    rows = results.curve(name, method, *where)
    return rows.pivot(index="x", columns="seed", values="y")


def mean_curve(results: Results, name: str, method: str, where: Shown) -> Curve:
    """Average one curve of a method over its seeds, NaN where one of them has no value, but for both ends.

    A seed without any value does not count.
    """
    table = curve_table(results, name, method, where).dropna(axis="columns", how="all")
    mean = table.mean(axis="columns", skipna=False)
    known = np.flatnonzero(mean.notna())
    mean = mean.iloc[known[0] : known[-1] + 1] if len(known) else mean.iloc[:0]
    return Curve(mean.index.to_numpy(float), mean.to_numpy(float), table.shape[1])


def band_seed(results: Results) -> int | None:
    """Return the first of the seeds whose bands most methods finished: seeds may differ in their examples."""
    means = results.curves[results.curves["curve"] == "regression_mean"]
    if means.empty:
        return None
    finished = means.groupby("seed")["method"].nunique()
    return int(min(finished[finished == finished.max()].index))


def highest_entropy(results: Results) -> float | None:
    """Return ln C in nats, the right end of the grid of the entropy curves; None where no entropy is stored."""
    grid = results.curves.loc[results.curves["curve"] == "entropy_ecdf", "x"]
    return float(grid.max()) if len(grid) and grid.max() > 0 else None


def reliability(results: Results, method: str) -> tuple[pd.DataFrame, int]:
    """Return share, accuracy and confidence of the bins that hold clean examples, pooled over the seeds.

    Each seed counts by its share of examples in the bin, so that the bins of all seeds are one set of examples.
    """
    share, accuracy, confidence = (
        curve_table(results, f"reliability_{part}", method, ("clean", None))
        for part in ("share", "accuracy", "confidence")
    )
    filled = share[share > 0]
    pooled = pd.DataFrame({"share": filled.sum(axis=1) / share.shape[1]})
    for name, values in {"accuracy": accuracy, "confidence": confidence}.items():
        weighted = filled * values.reindex_like(filled)
        pooled[name] = weighted.where(filled.notna(), 0).sum(axis=1, skipna=False) / filled.sum(
            axis=1
        )
    return pooled[pooled["share"] > 0], share.shape[1]


def underconfidence(results: Results, method: str) -> tuple[float, int]:
    """Return how far the accuracy on clean data exceeds the mean confidence, NaN if unknown, and of how many seeds."""
    bins, seeds = reliability(results, method)
    gap = (bins["share"] * (bins["accuracy"] - bins["confidence"])).sum(skipna=False)
    return (float(gap) if seeds else math.nan), seeds
