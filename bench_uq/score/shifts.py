"""What tuning changed: scores of the tuned methods against their defaults, on the test split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench_uq.score.comparisons import groups_by_seed, one_test_set
from bench_uq.score.convergence import by_seed
from bench_uq.score.results import Results
from bench_uq.score.statistics import Spread, crossed, paired_interval
from bench_uq.score.tuning import TunedMethod
from bench_uq.store.derived import GROUP_COLUMNS


@dataclass(frozen=True)
class Shift:
    """A score of the tuned method less that of its default, in the mean over shared seeds.

    The interval is NaN where the seeds say nothing of the spread. It is ``crossed`` if it is of new
    test examples too.
    """

    mean: float
    low: float
    high: float
    seeds: int
    crossed: bool = False


def shifts(results: Results, methods: Sequence[TunedMethod]) -> dict[tuple[str, str], Shift]:
    """The changes on clean data of one dataset, by method at the default and metric.

    A default that was chosen changes nothing. Without a seed of both there is no change to tell.
    """
    defaults = results.defaults
    if defaults is None:
        return {}

    grouped = _is_grouped(results) and _is_grouped(defaults)
    ours, theirs = _clean(results.scores), _clean(defaults.scores)
    found = {}
    for metric in sorted(ours.keys() & theirs.keys()):
        for one in methods:
            tuned = ours[metric][ours[metric]["method"] == one.name]
            default = theirs[metric][theirs[metric]["method"] == one.method]
            shift = _shift(tuned, default, kept=one.kept, grouped=grouped)
            if shift is not None:
                found[one.method, metric] = shift
    return found


def _is_grouped(results: Results) -> bool:
    """Whether the scores have pseudo-values, of examples that all seeds share."""
    return GROUP_COLUMNS[0] in results.scores and one_test_set(results)


def _clean(scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each metric on clean data."""
    rows = scores[scores["condition"] == "clean"]
    return {str(metric): own for metric, own in rows.groupby("metric", observed=True)}


def _shift(
    tuned: pd.DataFrame, default: pd.DataFrame, *, kept: bool, grouped: bool
) -> Shift | None:
    """The change of one score of a method; None unless its values are finite on shared seeds."""
    ours, theirs = _values(tuned), _values(default)
    seeds = sorted(ours.keys() & theirs.keys())
    one, other = [ours[seed] for seed in seeds], [theirs[seed] for seed in seeds]
    # The width of a conformal interval may be infinite on both sides.
    if not seeds or not np.isfinite([one, other]).all():
        return None
    differences = np.subtract(one, other)
    if kept:
        return Shift(0.0, math.nan, math.nan, len(seeds))

    known = None
    if grouped and len(seeds) > 1:
        known = _spread(tuned, default, seeds, differences)
    low, high = paired_interval(one, other, known)
    return Shift(float(differences.mean()), low, high, len(seeds), known is not None)


def _values(rows: pd.DataFrame) -> dict[int, float]:
    """The values of a single method by seed."""
    return next(iter(by_seed(rows).values()), {})


def _spread(
    tuned: pd.DataFrame, default: pd.DataFrame, seeds: Sequence[int], differences: np.ndarray
) -> Spread | None:
    """The variance over new seeds and examples; None unless all runs have pseudo-values."""
    tables = list[np.ndarray]()
    for rows in (tuned, default):
        for own in groups_by_seed(rows[rows["seed"].isin(seeds)]).values():
            tables.append(np.array([own[seed] for seed in seeds]))

    if len(tables) < 2:
        return None
    return crossed(differences, tables[0] - tables[1])
