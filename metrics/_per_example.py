"""Numbers per example behind several metrics of class labels, (N,) float64; NaN stays NaN."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from bench_uq.api import Predictions

T = TypeVar("T")


def once(compute: Callable[[Predictions], T]) -> Callable[[Predictions], T]:
    """Compute once per Predictions object, which keeps the result as read-only arrays.

    All metrics of a condition then take one pass over its predictions.
    """

    @wraps(compute)
    def kept(predictions: Predictions) -> T:
        # Predictions are frozen, but a cache beside the fields changes nothing of their value.
        known: dict[Any, T] = vars(predictions).setdefault("_known", {})
        if compute not in known:
            found = compute(predictions)
            arrays = found if isinstance(found, tuple) else (found,)
            for array in arrays:
                if isinstance(array, np.ndarray):
                    array.flags.writeable = False
            known[compute] = found
        return known[compute]

    return kept


@once
def confidence(predictions: Predictions) -> np.ndarray:
    """Largest mean probability."""
    # Float32 probabilities can exceed 1 by a rounding.
    return np.minimum(predictions["probs"].max(axis=1).astype(np.float64), 1.0)


@once
def correct(predictions: Predictions) -> np.ndarray:
    """1 if the most probable class, the first of equals, is the target, else 0."""
    # argmax takes NaN for the largest, and would call the example right or wrong.
    probs = predictions["probs"]
    hits = probs.argmax(axis=1) == predictions["targets"]
    return np.where(np.isnan(probs).any(axis=1), np.nan, hits)


@once
def entropy(predictions: Predictions) -> np.ndarray:
    """Entropy of the mean probabilities in nats, with 0 log 0 = 0."""
    probs = predictions["probs"].astype(np.float64)
    surprise = np.log(1 / np.where(probs > 0, probs, 1))
    # Probabilities that exceed 1 by a rounding would give an entropy below 0.
    return np.maximum((probs * surprise).sum(axis=1), 0.0)


@once
def epistemic(predictions: Predictions) -> np.ndarray:
    """Mutual information of label and draw in nats: entropy of the mean minus mean entropy."""
    gap = entropy(predictions) - predictions["draw_entropy"]
    # Differences within the rounding of float32 count as zero. Otherwise a method of one draw,
    # whose mutual information is zero, would be ranked by its rounding errors, which differ
    # between clean and other data.
    rounding = np.finfo(np.float32).eps * (1 + np.log(predictions["probs"].shape[1]))
    gap[gap <= rounding] = 0.0
    return gap
