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


def interval(value: float, drawn: np.ndarray) -> tuple[float, float]:
    """Bias-corrected percentile interval (Efron 1981) of a score from its replicates (R,).

    NaN where the score or more than one replicate in twenty is undefined. The correction matters
    for calibration errors, which resampling raises; where it raises nearly all replicates above the
    score, as for bins of few examples, the replicates are no guide and there is no interval.
    """
    finite = drawn[np.isfinite(drawn)]
    if not math.isfinite(value) or len(finite) < 0.95 * max(1, len(drawn)):
        return math.nan, math.nan

    # Half of the ties count as below; a share of 0 or 1 would have no normal quantile.
    below = float((finite < value).mean() + (finite == value).mean() / 2)
    least = 1 / (2 * len(finite))
    bias = ndtri(min(max(below, least), 1 - least))
    tail = ndtri((1 - LEVEL) / 2)
    if abs(bias) > abs(tail):
        return math.nan, math.nan

    shift = 2 * bias
    low, high = np.quantile(finite, [ndtr(shift + tail), ndtr(shift - tail)])
    return float(low), float(high)
