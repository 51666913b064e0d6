"""DDU: densities of the hidden units against SciPy, and what they tell far from the data."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf

from bench_uq.methods.ddu import FLOOR, Density

D, C = 5, 3


@pytest.fixture(scope="module")
def examples() -> tuple[np.ndarray, np.ndarray]:
    """Return hidden units (N, D) of three classes of unequal size and spread, and labels (N,)."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [40, 25, 7])
    mixing = rng.normal(size=(C, D, D))
    noise = rng.normal(size=(len(labels), D))
    hidden = 2.0 * labels[:, None] + np.einsum("nij,nj->ni", mixing[labels], noise)
    return hidden, labels


def fitted(examples: tuple[np.ndarray, np.ndarray]) -> Density:
    """Return a head that was fitted to examples."""
    head = Density(D, C).double()
    head.fit(*examples)
    return head


def test_density_is_that_of_the_mixture(examples: tuple[np.ndarray, np.ndarray]) -> None:
    """The log-density is SciPy's, with scikit-learn's covariance of each class."""
    hidden, labels = examples
    points = np.random.default_rng(1).normal(size=(20, D)) * 4

    parts = []
    for label in range(C):
        own = hidden[labels == label]
        shrunk = LedoitWolf().fit(own).covariance_
        shrunk = shrunk + FLOOR * np.trace(shrunk) / D * np.eye(D)
        normal = multivariate_normal(own.mean(0), shrunk)
        parts.append(math.log(len(own) / len(hidden)) + normal.logpdf(points))

    found = fitted(examples).log_density(torch.from_numpy(points))
    np.testing.assert_allclose(found, logsumexp(parts, axis=0), rtol=1e-9)


def test_density_integrates_to_one(examples: tuple[np.ndarray, np.ndarray]) -> None:
    """By importance sampling from a wide Gaussian around the data."""
    head = fitted(examples)
    hidden = examples[0]
    wide = multivariate_normal(hidden.mean(0), 3 * np.cov(hidden.T) + np.eye(D), seed=0)
    points = wide.rvs(200_000)

    ratio = np.exp(head.log_density(torch.from_numpy(points)).numpy() - wide.logpdf(points))
    assert ratio.mean() == pytest.approx(1, abs=5 * ratio.std() / math.sqrt(len(ratio)))
    assert ratio.std() / math.sqrt(len(ratio)) < 0.02


def test_units_that_are_always_zero(examples: tuple[np.ndarray, np.ndarray]) -> None:
    """Such units have no variance, and make the density neither infinite nor blind to them."""
    hidden, labels = examples[0].copy(), examples[1]
    hidden[:, 0] = 0
    head = fitted((hidden, labels))

    inside = torch.from_numpy(hidden[:1])
    outside = inside.clone()
    outside[:, 0] = 10
    assert torch.isfinite(head.log_density(inside)).all()
    assert head.log_density(outside) < head.log_density(inside) - 10


def test_a_class_of_one_example(examples: tuple[np.ndarray, np.ndarray]) -> None:
    """It has no covariance: the density is that of the other classes, by their shares of all."""
    hidden, labels = examples[0].copy(), examples[1].copy()
    labels[labels == 2] = 1
    labels[-1] = 2

    found = fitted((hidden, labels)).log_density(torch.from_numpy(hidden))
    assert torch.isfinite(found).all()


def test_far_away_is_unseen(examples: tuple[np.ndarray, np.ndarray]) -> None:
    """The density falls with the distance to all classes."""
    head = fitted(examples)
    direction = torch.ones(1, D, dtype=torch.float64)
    densities = torch.cat([head.log_density(direction * far) for far in (10.0, 30.0, 100.0)])
    assert (densities.diff() < 0).all()
