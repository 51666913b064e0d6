"""Intervals by bootstrap over examples: how much a score depends on which examples were drawn.

They say nothing of another training: that takes several seeds (docs/statistics.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.special import ndtr, ndtri

from bench_uq.api.metric import Metric
from bench_uq.api.task import Predictions
from bench_uq.evaluate.shown import Shown
from bench_uq.metrics._per_example import resampled

#: Predictions under a condition, and the clean ones to compare them with.
Pair = tuple[Predictions, Predictions | None]

#: Probability that an interval is to have.
LEVEL = 0.95


def sides(shown: Shown, clean: Predictions | None) -> Pair:
    """The predictions of a condition and the clean predictions that its metrics compare with."""
    if shown.kind == "clean" or clean is None:
        return shown.predictions, None
    if shown.kind == "unseen":
        return shown.predictions, clean
    # An attack or shift is shown the first clean examples.
    return shown.predictions, clean.first(len(shown.predictions))


def scorable(metric: Metric, pair: Pair) -> bool:
    """Whether a metric applies to predictions of which none are held out or a reference's."""
    return metric.applies(pair[0], metric.others(pair[1], None, None))


def indices(shown: Shown, pair: Pair, count: int, seed: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Examples of ``count`` resamples: of the condition, and of the clean predictions.

    An attacked example is drawn together with the clean one that it was made from. Conditions of
    one kind and size are drawn alike, so that two models can be compared in pairs.
    """
    generator = np.random.default_rng(seed)
    size, other = len(pair[0]), len(pair[1] or ())
    for _ in range(count):
        drawn = generator.integers(size, size=size)
        if shown.kind == "unseen":
            yield drawn, generator.integers(other, size=other)
        else:
            yield drawn, drawn


def replicates(
    metrics: Sequence[Metric], shown: Shown, pair: Pair, count: int, seed: int
) -> np.ndarray:
    """Each metric of each resample of the examples, (count, M); NaN where it is undefined."""
    found = np.full((count, len(metrics)), np.nan)
    for row, (drawn, others) in enumerate(indices(shown, pair, count, seed)):
        predictions = resampled(pair[0], drawn)
        clean = None if pair[1] is None else resampled(pair[1], others)
        for column, metric in enumerate(metrics):
            found[row, column] = metric.compute(predictions, clean)
    return found


def spread(drawn: np.ndarray) -> float:
    """Standard deviation of a score's replicates (R,), which is the score's standard error.

    NaN where more than one replicate in twenty is undefined, or where nothing varies: such
    replicates tell nothing.
    """
    finite = drawn[np.isfinite(drawn)]
    if len(finite) < max(2, 0.95 * len(drawn)):
        return math.nan
    # Rounding alone is no spread.
    if np.ptp(finite) <= 8 * np.finfo(np.float64).eps * np.abs(finite).max():
        return math.nan
    return float(finite.std(ddof=1))


def interval(
    value: float, drawn: np.ndarray, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> tuple[float, float]:
    """Interval of a score by the normal law with the spread of its replicates, within its bounds.

    Not by percentiles of the replicates: resampling raises binned errors, and even corrected for
    that bias (Efron 1981) such intervals hold the ECE of as many examples in three of four cases
    (studies/intervals.py). NaN where the score is not finite or its replicates tell nothing.
    """
    reach = ndtri((1 + LEVEL) / 2) * spread(drawn)
    if not math.isfinite(value) or not math.isfinite(reach):
        return math.nan, math.nan
    return max(value - reach, bounds[0]), min(value + reach, bounds[1])


def p_value(difference: float, drawn: np.ndarray) -> float:
    """Two-sided p-value of a difference, by the law of its interval; 1 where there is none."""
    error = spread(drawn)
    return float(2 * ndtr(-abs(difference) / error)) if math.isfinite(error) else 1.0
