"""Scores that are best in expectation when the true distribution is predicted."""

from __future__ import annotations

import numpy as np

from bench_uq.api import Metric, Predictions
from bench_uq.metrics import _per_example as per_example


def accuracy(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Return the share of examples whose most probable class is the target."""
    return float(per_example.correct(predictions).mean())


def nll(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Return the mean negative log predictive density of the targets in nats."""
    return float(-predictions["log_density"].mean(dtype=np.float64))


def brier(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Return the mean squared distance of the probabilities to the one-hot target, summed over classes."""
    gaps = predictions["probs"].astype(np.float64)
    gaps[np.arange(len(gaps)), predictions["targets"]] -= 1
    return float(np.square(gaps).sum(axis=1).mean())


METRICS = (
    Metric(
        id="accuracy",
        title="accuracy",
        compute=accuracy,
        direction="higher",
        formula="mean_n 1[argmax_k p(k|x_n) = y_n], the first class of equals",
        reference="the zero-one score of Gneiting & Raftery 2007, doi:10.1198/016214506000001437",
        needs=("probs", "targets"),
    ),
    Metric(
        id="nll",
        title="negative log-likelihood",
        compute=nll,
        direction="lower",
        formula="-mean_n log mean_s p(y_n|x_n, draw s), in nats: the log of the mean, not the mean of the log",
        reference="Gneiting & Raftery 2007, doi:10.1198/016214506000001437",
        needs=("log_density",),
    ),
    Metric(
        id="brier",
        title="Brier score",
        compute=brier,
        direction="lower",
        formula="mean_n sum_k (p(k|x_n) - 1[y_n = k])^2, in [0, 2]: summed over classes, not averaged",
        reference="Brier 1950, Monthly Weather Review 78(1)",
        needs=("probs", "targets"),
    ),
)
