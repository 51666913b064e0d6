"""Scores of real targets."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench_uq.api.likelihoods import QUANTILE_LEVELS
from bench_uq.api.task import Predictions
from bench_uq.metrics.regression import crps, mpiw, picp, quantile_calibration_error, rmse

LEVELS = np.asarray(QUANTILE_LEVELS)


def gaussian(targets, mean=0.0, std=1.0) -> Predictions:
    """Return predictions N(mean, std^2) for these targets."""
    targets = np.asarray(targets, np.float64)
    quantiles = np.tile(stats.norm.ppf(LEVELS, mean, std), (len(targets), 1))
    return Predictions(
        {"mean": np.full(len(targets), mean), "quantiles": quantiles, "targets": targets}
    )


def point(value, targets) -> Predictions:
    """Return predictions that are certain of one value."""
    targets = np.asarray(targets, np.float32)
    quantiles = np.full((len(targets), len(LEVELS)), value, np.float32)
    return Predictions(
        {
            "mean": np.full(len(targets), value, np.float32),
            "quantiles": quantiles,
            "targets": targets,
        }
    )


def test_rmse_by_hand():
    """The RMSE of errors 3 and 4 is the root of 12.5."""
    assert rmse(point(0.0, [3, -4])) == pytest.approx(math.sqrt(12.5))


def test_crps_of_a_certain_prediction_is_the_absolute_error():
    """A prediction without spread has a CRPS of its mean absolute error, above and below the
    target.
    """
    assert crps(point(1.0, [3])) == pytest.approx(2)
    assert crps(point(1.0, [0, 1, 3])) == pytest.approx(1)


def test_crps_against_the_closed_form_of_a_gaussian():
    """The CRPS from quantiles is Gneiting & Raftery's closed form for a Gaussian, to half a
    percent.
    """
    mean, std = 1.5, 0.7
    targets = np.random.default_rng(0).normal(mean, std, 2000)
    z = (targets - mean) / std
    closed = std * (
        z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / math.sqrt(math.pi)
    )
    assert crps(gaussian(targets, mean, std)) == pytest.approx(closed.mean(), rel=5e-3)


def test_crps_is_that_of_the_mixture_where_it_is_stored():
    """Quantiles are a substitute for predictions of older versions."""
    stored = {"ranked_score": np.array([0.5, 1.0], np.float32), **point(1.0, [3, 3]).arrays}
    assert crps(Predictions(stored)) == 0.75


def test_pinball_by_a_plain_loop():
    """The CRPS agrees with a loop over examples and levels."""
    generator = np.random.default_rng(0)
    quantiles, targets = np.sort(generator.normal(size=(6, len(LEVELS)))), generator.normal(size=6)

    total = 0.0
    for row, target in zip(quantiles, targets, strict=True):
        for quantile, level in zip(row, LEVELS, strict=True):
            total += 2 * (
                level * (target - quantile)
                if target >= quantile
                else (1 - level) * (quantile - target)
            )

    assert crps(Predictions({"quantiles": quantiles, "targets": targets})) == pytest.approx(
        total / quantiles.size
    )


def test_interval_of_a_gaussian():
    """The interval of N(0, 1) is 2 x 1.96 wide and holds the targets within 1.96 and no others."""
    predictions = gaussian([-1.97, -1.95, 0, 1.95, 1.97])
    assert mpiw(predictions) == pytest.approx(2 * stats.norm.ppf(0.975))
    assert picp(predictions) == pytest.approx(3 / 5)


def test_interval_holds_its_ends():
    """A target that equals a certain prediction lies inside its interval of width 0."""
    assert (picp(point(2.0, [2.0, 2.1])), mpiw(point(2.0, [2.0]))) == (0.5, 0)


def test_calibrated_quantiles():
    """Targets drawn from the prediction are covered at 95 % and every level, to their sampling
    error.
    """
    targets = np.random.default_rng(0).normal(size=20_000)
    assert picp(gaussian(targets)) == pytest.approx(0.95, abs=0.005)
    assert quantile_calibration_error(gaussian(targets)) < 0.01


def test_quantile_calibration_error_by_hand():
    """Targets above all quantiles are observed at no level: the error is the mean level, one half."""
    assert quantile_calibration_error(gaussian([100.0])) == pytest.approx(0.5)
    assert quantile_calibration_error(gaussian([-100.0, 100.0])) == pytest.approx(0.25)


def test_half_the_spread_is_not_calibrated():
    """An overconfident Gaussian misses at the rate of the true one beyond its own quantiles."""
    targets = np.random.default_rng(0).normal(size=20_000)
    expected = np.abs(stats.norm.cdf(0.5 * stats.norm.ppf(LEVELS)) - LEVELS).mean()
    assert quantile_calibration_error(gaussian(targets, std=0.5)) == pytest.approx(
        expected, abs=0.005
    )
