"""Moderated spreads, against the law that they assume and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench_uq.check import variances as spreads
from bench_uq.check.variances import moderated


def common_law(variances: np.ndarray, freedom: int) -> tuple[float, float]:
    """Return the law that is found behind variances of as many degrees of freedom."""
    found = spreads._common_law(variances, np.full(len(variances), float(freedom)), variances > 0)
    return found


@pytest.mark.parametrize(("prior", "scale"), [(4.0, 0.5), (12.0, 2.0)])
def test_the_common_law_is_found(prior: float, scale: float) -> None:
    """Of 20,000 variances whose true values follow a scaled inverse chi-squared law, the law comes back."""
    random = np.random.default_rng(0)
    true = prior * scale / random.chisquare(prior, 20_000)
    seen = true * random.chisquare(4, 20_000) / 4
    assert common_law(seen, 4) == (pytest.approx(prior, rel=0.1), pytest.approx(scale, rel=0.03))


def test_variances_that_differ_by_chance_alone_are_one() -> None:
    """Where all true variances are equal, the law has so many degrees that the scale is their mean."""
    seen = 3 * np.random.default_rng(1).chisquare(4, 200_000) / 4
    prior, scale = common_law(seen, 4)
    assert prior > 100
    assert scale == pytest.approx(3, rel=0.01)
    assert common_law(np.array([1.0, 1.01, 1.02]), 4) == (math.inf, pytest.approx(1.01))


def test_by_hand() -> None:
    """Nearly equal variances: a law of infinite degrees, of which half the own count: (2 x mean + 4 x own) / 6."""
    own, freedom = np.array([1.0, 1.3, 1.6]), np.full(3, 4.0)
    variances, degrees = moderated(own, freedom, np.array([0, 1, 2]), np.zeros(3))
    assert variances == pytest.approx((2 * 1.3 + 4 * own) / 6)
    assert degrees == pytest.approx([6, 6, 6])


def test_cells_of_one_method_are_no_more_than_one() -> None:
    """Three cells of one method give no more degrees of freedom than one of them has; of two methods twice as many."""
    own, freedom = np.array([1.0, 1.3, 1.6]), np.full(3, 4.0)
    assert list(moderated(own, freedom, np.array([7, 7, 7]), np.zeros(3))[1]) == [4, 4, 4]
    assert list(moderated(own, freedom, np.array([7, 7, 8]), np.zeros(3))[1]) == [6, 6, 6]


def test_few_cells_stand_alone_and_constant_ones_have_the_floor() -> None:
    """Two varying cells borrow nothing from each other, and no spread is less than the floor."""
    own, floor = np.array([1.0, 9.0, 0.0]), np.full(3, 0.01)
    variances, degrees = moderated(own, np.full(3, 4.0), np.arange(3), floor)
    assert list(variances) == [1.0, 9.0, 0.01]
    assert list(degrees) == [4, 4, 4]


@pytest.mark.parametrize("value", [1e-5, 0.3, 1.0, 50.0, 1e5])
def test_trigamma_inverse(value: float) -> None:
    """It undoes SciPy's trigamma function."""
    from scipy.special import polygamma

    assert float(polygamma(1, spreads._trigamma_inverse(value))) == pytest.approx(value)
