"""Split conformal prediction: thresholds that held-out examples calibrate, and what they include.

Scores are (N, C), or (N,) of the targets, lower for what conforms better. All that is at or below a
threshold is in the set.
"""

from __future__ import annotations

import zlib

import numpy as np

from bench_uq.api import QUANTILE_LEVELS, Predictions
from bench_uq.metrics._per_example import once

#: Percent of sets that are to contain the target.
LEVEL = 90

#: Classes without a penalty, and the penalty for each further one, of RAPS. They lie among those
#: of the paper's table 3.
FREE_CLASSES, PENALTY = 5, 0.01

#: Seed of the random shares of APS and RAPS in what is shown: the first examples have the same.
SHOWN = 0

#: The stored levels on both sides of 0.05 and of 0.95.
LOWER = [QUANTILE_LEVELS.index(0.045), QUANTILE_LEVELS.index(0.055)]
UPPER = [QUANTILE_LEVELS.index(0.945), QUANTILE_LEVELS.index(0.955)]


def threshold(scores: np.ndarray) -> float:
    """The ceil((n + 1) LEVEL / 100)-th smallest of n scores (n,); infinite if n is too small.

    A new score, exchangeable with these, is at or below it with a probability of at least LEVEL
    percent.
    """
    if np.isnan(scores).any():
        return float("nan")
    # In whole numbers: 0.9 times 10 must not be more than 9.
    rank = -(-(len(scores) + 1) * LEVEL // 100)
    if rank > len(scores):
        return float("inf")
    return float(np.partition(scores, rank - 1)[rank - 1])


def included(scores: np.ndarray, thresholds: float | np.ndarray) -> np.ndarray:
    """1 where a score is at or below its threshold, else 0; NaN stays NaN."""
    return np.heaviside(thresholds - scores, 1.0)


def of_targets(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The scores (N,) of the targets, out of those of all classes (N, C)."""
    return np.asarray(scores[np.arange(len(scores)), targets])


def probabilities(predictions: Predictions) -> np.ndarray:
    """Probabilities of the classes, (N, C) float64."""
    probs = predictions["probs"]
    # Those of a user's file came through logarithms: equal ones must stay equal.
    return probs.round(14) if probs.dtype == np.float64 else probs.astype(np.float64)


def lac(predictions: Predictions) -> np.ndarray:
    """1 - p(k|x) for each class, (N, C) (Sadinle et al. 2019)."""
    return 1 - probabilities(predictions)


def aps(predictions: Predictions, seed: int) -> np.ndarray:
    """Probability of all more probable classes, and a random share of the class's own, (N, C).

    Romano et al. 2020; the share is the same for all classes of an example.
    """
    return _mass(probabilities(predictions), seed)[0]


def raps(predictions: Predictions, seed: int, penalty: float = PENALTY) -> np.ndarray:
    """APS and a penalty for each class beyond the FREE_CLASSES most probable ones, (N, C).

    Angelopoulos et al. 2021, equation 4.
    """
    mass, ranks = _mass(probabilities(predictions), seed)
    return mass + penalty * np.maximum(ranks - FREE_CLASSES, 0)


def calibrating_seed(held_out: Predictions) -> int:
    """Seed of the random shares in held-out examples: one for each set of them.

    All methods of a run's seed then have the same shares, and the seeds have different ones.
    """
    return zlib.crc32(held_out["targets"].astype(np.int64).tobytes())


def _mass(probs: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Randomised mass of each class and of those before it, and its rank from 1, (N, C) each."""
    order = np.argsort(-probs, axis=1, kind="stable")
    ordered = np.take_along_axis(probs, order, axis=1)
    before = ordered.cumsum(axis=1) - ordered
    share = np.random.default_rng(seed).random((len(probs), 1))

    mass, ranks = np.empty_like(probs), np.empty_like(probs)
    np.put_along_axis(mass, order, before + share * ordered, axis=1)
    np.put_along_axis(ranks, order, np.arange(1.0, probs.shape[1] + 1)[None], axis=1)
    return mass, ranks


@once
def lac_threshold(held_out: Predictions) -> float:
    """Threshold of LAC."""
    return threshold(of_targets(lac(held_out), held_out["targets"]))


@once
def aps_threshold(held_out: Predictions) -> float:
    """Threshold of APS."""
    scores = aps(held_out, calibrating_seed(held_out))
    return threshold(of_targets(scores, held_out["targets"]))


@once
def raps_threshold(held_out: Predictions) -> float:
    """Threshold of RAPS."""
    scores = raps(held_out, calibrating_seed(held_out))
    return threshold(of_targets(scores, held_out["targets"]))


@once
def class_thresholds(held_out: Predictions) -> np.ndarray:
    """A threshold of LAC for each class, (C,), from the held-out examples of that class."""
    scores, targets = of_targets(lac(held_out), held_out["targets"]), held_out["targets"]
    classes = range(held_out["probs"].shape[1])
    # One that is lost may be of any class's set.
    if np.isnan(scores).any():
        return np.full(len(classes), np.nan)
    return np.array([threshold(scores[targets == k]) for k in classes])


def interval(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """The 0.05 and the 0.95 quantile of each example, (N,): means of the stored ones beside."""
    quantiles = predictions["quantiles"].astype(np.float64)
    return quantiles[:, LOWER].mean(axis=1), quantiles[:, UPPER].mean(axis=1)


def excess(predictions: Predictions) -> np.ndarray:
    """Distance of the target from the interval, negative inside, (N,) (Romano et al. 2019)."""
    low, high = interval(predictions)
    targets = predictions["targets"]
    return np.maximum(low - targets, targets - high)


@once
def widening(held_out: Predictions) -> float:
    """What each end of an interval moves outwards by."""
    return threshold(excess(held_out))
