"""How much a difference of two results varies from seed to seed, as far as a few seeds and many cells can tell."""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, special

#: What cells have in common counts for at most this share of a cell's own degrees of freedom: methods differ too much
#: in how they vary for more (benchmarks/alarms.py).
BORROWED = 0.5


def moderated(
    variances: np.ndarray, freedom: np.ndarray, units: np.ndarray, floor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the variances of the cells of one metric, drawn to what they have in common, with degrees of freedom.

    Each cell's own variance, of ``freedom`` degrees, is weighed against a scaled inverse chi-squared law that all cells
    share (Smyth 2004, doi:10.2202/1544-6115.1027, section 3). No variance is less than ``floor``: that few seeds agree
    to the last digit proves nothing. Unlike there, the law counts for at most BORROWED of the own degrees, and because
    cells of one method on one dataset (``units``) move together, no variance counts for more degrees than one cell of
    each unit.
    """
    prior, scale = _common_law(variances, freedom, variances > floor)
    borrowed = np.minimum(prior, BORROWED * freedom)
    drawn = (borrowed * scale + freedom * variances) / (borrowed + freedom)
    most = {unit: freedom[units == unit].max() for unit in np.unique(units)}
    return np.maximum(drawn, floor), np.minimum(borrowed + freedom, float(sum(most.values())))


def _common_law(
    variances: np.ndarray, freedom: np.ndarray, spread: np.ndarray
) -> tuple[float, float]:
    """Return degrees of freedom and scale of the law behind variances that are ``spread`` (Smyth 2004, section 6.2).

    Infinitely many degrees where they differ by no more than chance; none for fewer than three.
    """
    if spread.sum() < 3:
        return 0.0, 0.0
    variances, half = variances[spread], freedom[spread] / 2
    logs = np.log(variances) - special.digamma(half) + np.log(half)
    excess = float(logs.var(ddof=1) - special.polygamma(1, half).mean())
    if excess <= 1e-6:
        return math.inf, float(np.average(variances, weights=half))
    prior = 2 * _trigamma_inverse(excess)
    return prior, math.exp(float(logs.mean() + special.digamma(prior / 2) - math.log(prior / 2)))


def _trigamma_inverse(value: float) -> float:
    """Return where the trigamma function, which falls from infinity to 0, has a value."""
    low, high = 0.1 / (value + 1), 10 / value + 10
    return float(
        optimize.brentq(lambda place: float(special.polygamma(1, place)) - value, low, high)
    )
