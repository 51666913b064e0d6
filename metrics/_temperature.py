"""One temperature for held-out predictions, and what it makes of others (Guo et al. 2017)."""

from __future__ import annotations

import math

import numpy as np

from bench_uq.api import Predictions
from bench_uq.metrics._per_example import once

#: Standard deviation of the prior of the logarithm of the temperature, around 0. Held-out examples
#: of which none is misclassified would drive it to minus infinity.
SPREAD = 1.0
#: The logarithm lies within these many standard deviations.
BOUND = 8.0


def log_probs(predictions: Predictions) -> np.ndarray:
    """Log-probabilities (N, C) in float64; those of the targets are exact even where tiny."""
    # A probability of 0 has the logarithm -inf, which is meant.
    with np.errstate(divide="ignore"):
        found = np.log(predictions["probs"].astype(np.float64))
    found[np.arange(len(found)), predictions["targets"]] = predictions["log_density"]
    return found


def scaled_nll(log_probs: np.ndarray, targets: np.ndarray, log_temperature: float) -> float:
    """Mean NLL in nats of log-probabilities (N, C), divided by a temperature."""
    scaled = log_probs * math.exp(-log_temperature)
    # Less the largest, so that exp cannot overflow.
    largest = scaled.max(axis=1, keepdims=True)
    total = np.log(np.exp(scaled - largest).sum(axis=1)) + largest[:, 0]
    return float((total - scaled[np.arange(len(scaled)), targets]).mean())


def fitted(log_probs: np.ndarray, targets: np.ndarray) -> float:
    """Logarithm of the temperature of the highest posterior; 0 if none has a finite NLL."""
    # SciPy takes a while to import, also where metrics are only listed.
    from scipy.optimize import minimize_scalar

    start = scaled_nll(log_probs, targets, 0.0)
    if math.isnan(start):
        return math.nan
    if math.isinf(start):
        return 0.0

    def objective(log_temperature: float) -> float:
        prior = log_temperature**2 / (2 * SPREAD**2 * len(targets))
        return scaled_nll(log_probs, targets, log_temperature) + prior

    bound = BOUND * SPREAD
    found = minimize_scalar(
        objective, bounds=(-bound, bound), method="bounded", options={"xatol": 1e-8}
    )
    return float(found.x)


@once
def log_temperature(held_out: Predictions) -> float:
    """Logarithm of the temperature that held-out predictions choose."""
    return fitted(log_probs(held_out), held_out["targets"])
