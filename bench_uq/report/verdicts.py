"""Which methods are best, score by score, as far as the seeds can tell; nothing is claimed of unconverged runs."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

from bench_uq.report.frames import Results
from bench_uq.report.summaries import Scored, directions
from bench_uq.statistics import Comparison, Ranks, compare, ranks


def comparable(results: Results) -> list[str]:
    """Return the methods on one dataset that may be ordered: those without a run that had not converged."""
    return [method for method in results.methods if not results.seeds(method).unconverged]


@lru_cache(maxsize=16)
def verdicts(results: Results) -> dict[Scored, Comparison]:
    """Return what the seeds tell of each score on one dataset; a score that two methods do not share is left out."""
    known, order = directions(), comparable(results)
    scores = results.scores.dropna(subset="value")
    scores = scores[scores["method"].isin(order) & scores["metric"].map(known.get).isin(("higher", "lower"))]
    found = {}
    keys = ["condition", "level", "metric"]
    groups: Any = scores.groupby(keys, dropna=False, observed=True)
    for (condition, level, metric), rows in groups:
        values: dict[str, dict[int, float]] = {method: {} for method in order}
        for method, seed, value in rows[["method", "seed", "value"]].itertuples(index=False, name=None):
            values[method][seed] = value
        comparison = compare({method: own for method, own in values.items() if own}, known[metric])
        if comparison is not None:
            found[condition, None if math.isnan(level) else float(level), metric] = comparison
    return found


def ranking(results: Results, metric: str) -> tuple[Ranks | None, tuple[str, ...]]:
    """Rank the methods of a whole suite over its datasets by their means on clean data.

    The second value names the methods left out, for lack of a value on a dataset where another method has one.
    """
    scores = results.scores
    rows = scores[(scores["metric"] == metric) & (scores["condition"] == "clean")].dropna(subset="value")
    found: dict[str, dict[str, float]] = {method: {} for method in results.methods}
    means = rows.groupby(["method", "dataset"], observed=True)["value"].mean().reset_index()
    for method, dataset, mean in means.itertuples(index=False, name=None):
        found[method][dataset] = mean
    wanted = {dataset for own in found.values() for dataset in own}
    whole = {method: own for method, own in found.items() if wanted and len(own) == len(wanted)}
    left_out = tuple(method for method in found if method not in whole)
    direction = directions().get(metric, "none")
    return (ranks(whole, direction) if direction in ("higher", "lower") else None), left_out
