"""Variances of differences over seeds, moderated: each draws on the other cells of its metric."""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize, special

#: The common law counts for at most this share of a cell's own degrees of freedom: methods differ
#: too much in how they vary for more (studies/alarms.py).
BORROWED = 0.5


def moderated(
    variances: np.ndarray, freedom: np.ndarray, units: np.ndarray, floor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Moderated variances of the cells of one metric, with their degrees of freedom.

    Each cell's own variance, of ``freedom`` degrees, is weighed against a scaled inverse
    chi-squared law that all cells share (Smyth 2004, doi:10.2202/1544-6115.1027, section 3). No
    variance is less than ``floor``: it proves nothing that few seeds agree to the last digit.
    Unlike there, the law counts for at most BORROWED of the own degrees, and because cells of one
    method on one dataset (``units``) move together, no variance has more degrees than one cell of
    each unit.
    """
    prior, scale = _common_law(variances, freedom, variances > floor)
    borrowed = np.minimum(prior, BORROWED * freedom)
    drawn = (borrowed * scale + freedom * variances) / (borrowed + freedom)

    limit = sum(float(freedom[units == unit].max()) for unit in np.unique(units))
    return np.maximum(drawn, floor), np.minimum(borrowed + freedom, limit)


def _common_law(
    variances: np.ndarray, freedom: np.ndarray, varying: np.ndarray
) -> tuple[float, float]:
    """Degrees of freedom and scale of the law behind the ``varying`` ones (Smyth 2004, sec. 6.2).

    Infinitely many degrees if they differ by no more than chance; 0 for fewer than three cells.
    """
    if varying.sum() < 3:
        return 0.0, 0.0

    # The log of a chi-squared variable has digamma as its mean and trigamma as its variance.
    variances, half = variances[varying], freedom[varying] / 2
    logs = np.log(variances) - special.digamma(half) + np.log(half)
    excess = float(logs.var(ddof=1) - special.polygamma(1, half).mean())
    if excess <= 1e-6:
        return math.inf, float(np.average(variances, weights=half))

    prior = 2 * _trigamma_inverse(excess)
    return prior, math.exp(float(logs.mean() + special.digamma(prior / 2) - math.log(prior / 2)))


def _trigamma_inverse(value: float) -> float:
    """Where the trigamma function, which falls from infinity to 0, has this value."""
    # At x it is more than 1 / x and less than 1 / x + 1 / x^2, so these ends enclose the place.
    low, high = 0.1 / (value + 1), 10 / value + 10
    return float(optimize.brentq(lambda x: float(special.polygamma(1, x)) - value, low, high))
