"""Scores and curves over the finished seeds; missing values are counted, never averaged over."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from bench_uq.score.labels import family
from bench_uq.score.results import Results, as_level

#: Where a number stands: method, condition, level (None if it has no levels), metric.
Place = tuple[str, str, float | None, str]
#: A score of all methods: condition, level, metric.
Scored = tuple[str, float | None, str]
#: What a trained model was shown: a condition, and its level if it has levels.
Shown = tuple[str, float | None]


@dataclass(frozen=True)
class Summary:
    """One score over its seeds; ``sd`` is the sample standard deviation, NaN for one seed.

    ``seeds`` have a finite value, and ``lacking`` counts those whose value is infinite or
    undefined: if there are any, the mean is infinite or NaN.
    """

    mean: float
    sd: float
    low: float
    high: float
    seeds: int
    lacking: int = 0


@dataclass(frozen=True)
class Curve:
    """The mean of a curve over its seeds, NaN at each x where one of them has no value."""

    x: np.ndarray
    y: np.ndarray
    seeds: int


def summarise(results: Results) -> dict[Place, Summary]:
    """Mean, spread and range over the seeds of every score on one dataset that some seed has."""
    keys = ["method", "condition", "level", "metric"]
    scores = results.scores.assign(finite=np.isfinite(results.scores["value"]))
    groups = scores.groupby(keys, dropna=False, observed=True)
    table = groups["value"].agg(["mean", "std", "min", "max", "count", "size"])
    table = table.assign(finite=groups["finite"].sum())
    # The mean of the seeds that have a value would flatter a method by its easy seeds.
    statistics = ["mean", "std", "min", "max"]
    table.loc[table["count"] < table["size"], statistics] = math.nan

    found = {}
    for place, mean, sd, low, high, count, size, seeds in table.itertuples(name=None):
        method, condition, level, metric = place
        if count:
            one = Summary(mean, sd, low, high, int(seeds), int(size - seeds))
            found[method, condition, as_level(level), metric] = one
    return found


def costs(results: Results, names: Iterable[str]) -> dict[Place, Summary]:
    """Costs of the finished runs on one dataset, as scores of a condition ``cost``.

    ``names`` are columns of runs.csv; memory is in MB.
    """
    runs = results.runs[results.runs["status"] == "ok"]
    runs = runs.assign(peak_memory=runs["peak_memory"] / 1e6)

    found: dict[Place, Summary] = {}
    for method, own in runs.groupby("method", observed=True):
        for name in names:
            values, seeds = own[name], int(own[name].count())
            if seeds:
                moments = values.mean(skipna=False), values.std(skipna=False)
                ends = values.min(skipna=False), values.max(skipna=False)
                mean, sd, low, high = map(float, (*moments, *ends))
                one = Summary(mean, sd, low, high, seeds, len(values) - seeds)
                found[str(method), "cost", None, name] = one
    return found


def levels(results: Results) -> dict[str, list[float]]:
    """The sorted levels of each condition that has levels."""
    scores = results.scores.dropna(subset="level")
    groups = scores.groupby("condition", observed=True)
    return {str(name): sorted(group["level"].unique()) for name, group in groups}


def kinds_last(conditions: Iterable[str]) -> list[str]:
    """Sort the first condition of each family before the other kinds of these families.

    Where there is no room for all, the kinds of one corruption do not take it all.
    """
    seen, first, others = set[str](), list[str](), list[str]()
    for condition in conditions:
        if family(condition) in seen:
            others.append(condition)
        else:
            first.append(condition)
            seen.add(family(condition))
    return [*first, *others]


def curve_table(results: Results, name: str, method: str, where: Shown) -> pd.DataFrame:
    """One curve of a method as a table of x by seed."""
    rows = results.curve(name, method, *where)
    return rows.pivot(index="x", columns="seed", values="y")


def mean_curve(results: Results, name: str, method: str, where: Shown) -> Curve:
    """Average one curve of a method over its seeds, NaN where one of them has no value.

    Both ends without a value are cut off. A seed without any value does not count.
    """
    table = curve_table(results, name, method, where).dropna(axis="columns", how="all")
    # A mean over fewer seeds than beside it would jump where a seed begins or ends.
    mean = table.mean(axis="columns", skipna=False)
    mean = mean[mean.ffill().notna() & mean.bfill().notna()]
    return Curve(mean.index.to_numpy(float), mean.to_numpy(float), table.shape[1])


def band_seed(results: Results) -> int | None:
    """The first of the seeds whose bands most methods finished: seeds may differ in examples."""
    means = results.curves[results.curves["curve"] == "regression_mean"]
    if means.empty:
        return None
    finished = means.groupby("seed")["method"].nunique()
    return int(min(finished[finished == finished.max()].index))


def highest_entropy(results: Results) -> float | None:
    """The largest possible entropy, ln C in nats; None without entropies."""
    # Results do not name the number of classes; the grid of these curves ends at its log.
    grid = results.curves.loc[results.curves["curve"] == "entropy_ecdf", "x"]
    if grid.empty or grid.max() <= 0:
        return None
    # Curves have six digits; with fewer than all, 1 / C would be above or below chance.
    return float(np.log(round(np.exp(grid.max()))))


#: Where the curves of clean data are.
_CLEAN: tuple[Shown, ...] = (("clean", None),)


def reliability(
    results: Results, method: str, places: Sequence[Shown] = _CLEAN
) -> tuple[pd.DataFrame, int]:
    """Share, accuracy and confidence of the bins of examples, and the number of seeds.

    Bins are pooled over the seeds, and over several places, such as the kinds of a corruption. Each
    counts by its share of examples in the bin, so that the bins of all are one set of examples.
    """

    def table(name: str) -> pd.DataFrame:
        parts = {}
        for place, where in enumerate(places):
            parts[place] = curve_table(results, f"reliability_{name}", method, where)
        return pd.concat(parts, axis="columns")

    share = table("share")
    filled = share[share > 0]
    weight = filled.sum(axis=1)

    pooled = pd.DataFrame({"share": weight / share.shape[1]})
    for name in ("accuracy", "confidence"):
        weighted = filled * table(name).reindex_like(filled)
        pooled[name] = weighted.where(filled.notna(), 0).sum(axis=1, skipna=False) / weight
    return pooled[pooled["share"] > 0], share.columns.get_level_values(-1).nunique()


def consistency(bins: pd.DataFrame, examples: int) -> pd.DataFrame:
    """The accuracies between which 90 % of each bin's would lie, were every confidence right.

    ``bins`` are those of ``reliability``, of that many examples. Between the 5 % and the 95 %
    quantile of a binomial distribution, over its number of examples (Bröcker & Smith 2007,
    doi:10.1175/WAF993.1). Unlike theirs, all examples of a bin have its mean confidence, which
    makes the bars a little wider.
    """
    # Seeds are shown the same examples: more of them do not make a bin's accuracy surer.
    counts = (bins["share"] * examples).round().clip(lower=1)
    confidence = bins["confidence"].clip(0, 1)
    ends = {"low": 0.05, "high": 0.95}
    found = {name: stats.binom.ppf(end, counts, confidence) / counts for name, end in ends.items()}
    return pd.DataFrame(found, index=bins.index)


def clean_examples(results: Results, method: str) -> int | None:
    """The clean examples that a method was shown, the fewest of its seeds; None if unknown."""
    scores = results.scores if results.whole is None else results.whole
    kept = (scores["method"] == method) & (scores["condition"] == "clean")
    counts = scores.loc[kept & (scores["metric"] == "examples"), "value"].dropna()
    return int(counts.min()) if len(counts) else None


def underconfidence(results: Results, method: str) -> tuple[float, int]:
    """Accuracy less mean confidence on clean data, NaN if unknown, and the number of seeds."""
    bins, seeds = reliability(results, method)
    if not seeds:
        return math.nan, 0

    # The sum of no bins would be 0, and pandas leaves NaN out of a sum.
    gap = (bins["share"] * (bins["accuracy"] - bins["confidence"])).sum(skipna=False)
    return float(gap), seeds
