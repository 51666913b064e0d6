"""Scores by groups of test examples: how much a score depends on which examples were drawn.

The examples of a condition fall into GROUPS groups at random. With T the score of all, and T_g that
without group g, the pseudo-value of the group is GROUPS T - (GROUPS - 1) T_g (Tukey 1958). Of a
score that is a mean over examples it is the mean over the group, if groups are of one size. The
pseudo-values of other scores vary as if they were such means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench_uq.api.metric import Metric
from bench_uq.api.task import Predictions
from bench_uq.store.derived import GROUPS

#: A group of fewer examples says nothing of a score.
LEAST = 5


def groups_of(count: int) -> np.ndarray:
    """The group of each of ``count`` examples, (count,): the same for every run and method."""
    return np.random.default_rng(count).permutation(count) % GROUPS


def without(predictions: Predictions, group: int) -> Predictions:
    """The predictions of all examples but those of one group."""
    count = len(predictions)
    kept = groups_of(count) != group
    arrays = {}
    for name, array in predictions.arrays.items():
        # Inputs are stored of a few examples; no metric needs them.
        if len(array) == count:
            arrays[name] = array[kept]
    return Predictions(arrays)


def is_grouped(metric: Metric) -> bool:
    """Whether methods are compared by a metric in some table or figure."""
    shown = any(place is not None for place in vars(metric.shown).values())
    # Metrics with a second heading stand in tables of out-of-distribution data.
    return bool(shown or metric.by) and metric.direction != "none"


def parts(predictions: Predictions) -> list[Predictions]:
    """The predictions without each of the groups; none where groups would be small."""
    if len(predictions) < LEAST * GROUPS:
        return []
    return [without(predictions, group) for group in range(GROUPS)]


def pseudo_values(
    metric: Metric,
    score: float,
    shown: Sequence[Predictions],
    others: Sequence[Predictions],
) -> list[float]:
    """The pseudo-values of a metric's score by group, in seven digits.

    ``shown`` and ``others`` are the ``parts`` of the two sets of predictions that the metric takes.
    Held-out predictions are the same in each part: the examples that are drawn are those of the
    test. Nothing is given for a metric by which no table compares, and where a number is not
    finite.
    """
    lacking = not shown or (metric.is_paired and not others)
    if lacking or not is_grouped(metric) or not math.isfinite(score):
        return []

    found = []
    for group, part in enumerate(shown):
        against = others[group] if metric.is_paired else None
        left = float(metric.compute(part, against))
        found.append(float(f"{GROUPS * score - (GROUPS - 1) * left:.7g}"))
    return found if np.isfinite(found).all() else []
