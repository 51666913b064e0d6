"""Curves of an ensemble on clean data over the number of its networks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from bench_uq.api.task import Predictions
from bench_uq.metrics.proper_scores import calibrated_nll, nll
from bench_uq.score.curves import Curve

#: Subsets of one size that a mean is over, at most.
MOST = 20

#: The curves, by the metric that they are of.
CURVES = {"nll": "members_nll", "calibrated_nll": "members_calibrated_nll"}


def curves(members: Predictions) -> list[Curve]:
    """NLL, and for classes calibrated NLL, of 1 to K members; none if their draws are random.

    Each is the mean over subsets of that many members: over all of them, or MOST at random.
    """
    if "log_density" not in members:
        return []
    count = len(members["log_density"])
    sizes = np.arange(1, count + 1)

    found = {name: list[float]() for name in CURVES}
    for size in sizes:
        values = {name: list[float]() for name in CURVES}
        for subset in subsets(count, int(size)):
            shown = mixture(members, "", subset)
            values["nll"].append(nll(shown))
            if "probs" in shown:
                held_out = mixture(members, "held_out_", subset)
                values["calibrated_nll"].append(calibrated_nll(shown, held_out))
        for name, own in values.items():
            if own:
                found[name].append(float(np.mean(own)))

    return [(CURVES[name], sizes, np.array(own)) for name, own in found.items() if own]


def subsets(count: int, size: int) -> Iterator[np.ndarray]:
    """Subsets of ``size`` of ``count`` members: all, or MOST that are drawn with a fixed seed."""
    if math.comb(count, size) <= MOST:
        yield from map(np.array, itertools.combinations(range(count), size))
        return
    generator = np.random.default_rng(size)
    for _ in range(MOST):
        yield generator.choice(count, size, replace=False)


def mixture(members: Predictions, prefix: str, subset: np.ndarray) -> Predictions:
    """Predictions of some members together: the mean of their densities and probabilities."""
    density = members[f"{prefix}log_density"][subset].astype(np.float64)
    arrays = {
        "targets": members[f"{prefix}targets"],
        "log_density": np.logaddexp.reduce(density, axis=0) - math.log(len(subset)),
    }
    if f"{prefix}probs" in members:
        arrays["probs"] = members[f"{prefix}probs"][subset].mean(axis=0, dtype=np.float64)
    return Predictions(arrays)
