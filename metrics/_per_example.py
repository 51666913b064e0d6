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


#: Functions whose value for one example depends on no other example.
_EACH = list[Callable[[Predictions], np.ndarray]]()


def each(compute: Callable[[Predictions], np.ndarray]) -> Callable[[Predictions], np.ndarray]:
    """Compute once, and take the values along where examples are drawn again (``resampled``)."""
    kept = once(compute)
    _EACH.append(compute)
    return kept


def resampled(predictions: Predictions, index: np.ndarray) -> Predictions:
    """Predictions of the examples of an index (M,), with repeats; inputs are left out.

    What was computed of each example is taken along, as it would be computed again.
    """
    count, arrays = len(predictions), {}
    for name, array in predictions.arrays.items():
        # Inputs are stored of a few examples; no metric needs them.
        if name != "inputs" and len(array) == count:
            arrays[name] = array[index]

    drawn = Predictions(arrays)
    known = vars(predictions).get("_known", {})
    vars(drawn)["_known"] = {one: known[one][index] for one in _EACH if one in known}
    return drawn


def rounding(predictions: Predictions) -> float:
    """Error that storing has left in a number near 1: float32 of own runs, float64 of files."""
    # Float64 comes through logarithms, whose last digits say nothing.
    single = predictions["probs"].dtype == np.float32
    return float(np.finfo(np.float32).eps) if single else 1e-14


@each
def confidence(predictions: Predictions) -> np.ndarray:
    """Largest mean probability, for bins and thresholds; what ranks takes the doubt."""
    top = predictions["probs"].max(axis=1)
    if top.dtype == np.float64:
        # 0.6 that came through a logarithm must not leave its bin.
        top = top.round(14)
    # Float32 probabilities can exceed 1 by a rounding.
    return np.minimum(top.astype(np.float64), 1.0)


@each
def doubt(predictions: Predictions) -> np.ndarray:
    """Probability of all classes but the most probable one, 1 - max_k p(k|x)."""
    found = 1 - confidence(predictions)
    # A small difference from 1 is lost in rounding, and all that are sure would tie; the sum of the
    # other classes keeps it. A larger one keeps the ties of probabilities with few digits.
    small = found < np.sqrt(rounding(predictions))
    found[small] = np.sort(predictions["probs"][small])[:, :-1].sum(axis=1, dtype=np.float64)
    return found


@each
def correct(predictions: Predictions) -> np.ndarray:
    """1 if the most probable class, the first of equals, is the target, else 0."""
    # argmax takes NaN for the largest, and would call the example right or wrong.
    probs = predictions["probs"]
    hits = probs.argmax(axis=1) == predictions["targets"]
    return np.where(np.isnan(probs).any(axis=1), np.nan, hits)


@each
def entropy(predictions: Predictions) -> np.ndarray:
    """Entropy of the mean probabilities in nats, with 0 log 0 = 0."""
    probs = predictions["probs"].astype(np.float64)
    surprise = np.log(1 / np.where(probs > 0, probs, 1))
    # The logarithm of a probability near 1 is its rounding error; that of 1 - doubt is not.
    sure = np.flatnonzero(doubt(predictions) < np.sqrt(rounding(predictions)))
    surprise[sure, probs[sure].argmax(axis=1)] = -np.log1p(-doubt(predictions)[sure])
    return np.asarray((probs * surprise).sum(axis=1))


@each
def epistemic(predictions: Predictions) -> np.ndarray:
    """Mutual information of label and draw in nats: entropy of the mean minus mean entropy."""
    if "mutual_information" in predictions:
        return predictions["mutual_information"].astype(np.float64)

    # Older versions stored only the two entropies.
    gap = entropy(predictions) - predictions["draw_entropy"]
    # Differences within the rounding of what is stored count as zero, or a method of one draw,
    # whose mutual information is zero, would be ranked by its rounding errors, which differ
    # between clean and other data.
    gap[gap <= rounding(predictions) * (1 + np.log(predictions["probs"].shape[1]))] = 0.0
    return gap
