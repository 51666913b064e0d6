"""The numbers of each example that several metrics of class labels start from, (N,) float64 each; NaN stays NaN."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from bench_uq.api import Predictions

T = TypeVar("T")


def once(compute: Callable[[Predictions], T]) -> Callable[[Predictions], T]:
    """Return a function that computes once for each Predictions, which keeps the result, as read-only arrays.

    So all metrics of a condition take one pass over its predictions: what several start from is computed for all.
    """

    @wraps(compute)
    def kept(predictions: Predictions) -> T:
        known: dict[Any, T] = vars(predictions).setdefault(
            "_known", {}
        )  # frozen, but its arrays do not change
        if compute not in known:
            found = compute(predictions)
            for array in found if isinstance(found, tuple) else (found,):
                if isinstance(array, np.ndarray):
                    array.flags.writeable = False
            known[compute] = found
        return known[compute]

    return kept


@once
def confidence(predictions: Predictions) -> np.ndarray:
    """Return the largest mean probability."""
    # Float32 probabilities can exceed 1 by a rounding.
    return np.minimum(predictions["probs"].max(axis=1).astype(np.float64), 1.0)


@once
def correct(predictions: Predictions) -> np.ndarray:
    """Return 1 where the most probable class, the first of equals, is the target, else 0."""
    probs = predictions["probs"]
    hits = probs.argmax(axis=1) == predictions["targets"]
    return np.where(np.isnan(probs).any(axis=1), np.nan, hits)


@once
def entropy(predictions: Predictions) -> np.ndarray:
    """Return the entropy of the mean probabilities in nats, with 0 log 0 = 0."""
    probs = predictions["probs"].astype(np.float64)
    surprise = np.log(1 / np.where(probs > 0, probs, 1))
    return np.maximum((probs * surprise).sum(axis=1), 0.0)


@once
def epistemic(predictions: Predictions) -> np.ndarray:
    """Return the mutual information of label and draw in nats: entropy of the mean less mean entropy."""
    gap = entropy(predictions) - predictions["draw_entropy"]
    # What float32 storage cannot tell from zero is zero. Otherwise a method of one draw, whose mutual information
    # is zero, would be ranked by its rounding errors, which are not the same for clean and unseen data.
    gap[gap <= np.finfo(np.float32).eps * (1 + np.log(predictions["probs"].shape[1]))] = 0.0
    return gap
