"""Moderated variances, against the law that they assume and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import polygamma

from bench_uq.check.variances import _common_law, _trigamma_inverse, moderated


def common_law(variances: np.ndarray, freedom: int) -> tuple[float, float]:
    """The law found behind variances of as many degrees of freedom."""
    return _common_law(variances, np.full(len(variances), float(freedom)), variances > 0)


@pytest.mark.parametrize(("prior", "scale"), [(4.0, 0.5), (12.0, 2.0)])
def test_the_common_law_is_found(prior: float, scale: float) -> None:
    """The law of 20,000 variances whose true values are scaled inverse chi-squared comes back."""
    random = np.random.default_rng(0)
    true = prior * scale / random.chisquare(prior, 20_000)
    seen = true * random.chisquare(4, 20_000) / 4
    assert common_law(seen, 4) == (pytest.approx(prior, rel=0.1), pytest.approx(scale, rel=0.03))


def test_variances_that_differ_by_chance_alone() -> None:
    """If all true variances are equal, the law has many degrees and their mean as its scale."""
    seen = 3 * np.random.default_rng(1).chisquare(4, 200_000) / 4
    prior, scale = common_law(seen, 4)
    assert prior > 100
    assert scale == pytest.approx(3, rel=0.01)
    assert common_law(np.array([1.0, 1.01, 1.02]), 4) == (math.inf, pytest.approx(1.01))


@pytest.mark.parametrize(("units", "degrees"), [([0, 1, 2], 6), ([7, 7, 7], 4), ([7, 7, 8], 6)])
def test_by_hand(units: list[int], degrees: float) -> None:
    """Nearly equal variances: (2 x mean + 4 x own) / 6; cells of one unit have its degrees alone."""
    own, freedom = np.array([1.0, 1.3, 1.6]), np.full(3, 4.0)
    variances, found = moderated(own, freedom, np.array(units), np.zeros(3))
    assert variances == pytest.approx((2 * 1.3 + 4 * own) / 6)
    assert found == pytest.approx([degrees] * 3)


def test_few_cells_stand_alone_and_constant_ones_have_the_floor() -> None:
    """Two varying cells borrow nothing from each other, and no variance is below the floor."""
    own, floor = np.array([1.0, 9.0, 0.0]), np.full(3, 0.01)
    variances, degrees = moderated(own, np.full(3, 4.0), np.arange(3), floor)
    assert list(variances) == [1.0, 9.0, 0.01]
    assert list(degrees) == [4, 4, 4]


@pytest.mark.parametrize("value", [1e-5, 0.3, 1.0, 50.0, 1e5])
def test_trigamma_inverse(value: float) -> None:
    """It undoes SciPy's trigamma function."""
    assert float(polygamma(1, _trigamma_inverse(value))) == pytest.approx(value)
