"""The family of calibration errors."""

from __future__ import annotations

import contextlib
import io
import warnings
from itertools import pairwise
from types import ModuleType

import numpy as np
import pytest

from bench_uq.api.task import Predictions
from bench_uq.metrics import _netcal as netcal_adapter
from bench_uq.metrics._per_example import confidence, correct
from bench_uq.metrics.calibration import adaptive_ece, classwise_ece, ece, ece_if_calibrated, mce


def two_classes(confidences, hits, dtype=np.float64) -> Predictions:
    """Return predictions of class 0 with these confidences, of which some hit."""
    confidences = np.asarray(confidences, dtype)
    return Predictions(
        {"probs": np.stack([confidences, 1 - confidences], 1), "targets": 1 - np.asarray(hits)}
    )


def loop_error(confidences, hits, edges) -> tuple[float, float]:
    """Return expected and maximum calibration error by a plain loop over half-open bins, the last
    one closed.
    """
    gaps, shares = [], []
    for low, high in pairwise(edges):
        inside = (confidences >= low) & ((confidences < high) | (high == edges[-1]))
        if inside.any():
            gaps.append(abs(hits[inside].mean() - confidences[inside].mean()))
            shares.append(inside.mean())
    return float(np.dot(gaps, shares)), max(gaps)


def test_two_bins_by_hand():
    """ECE is the weighted and MCE the largest gap of two bins worked by hand."""
    predictions = two_classes([0.7, 0.7, 0.7, 0.95], [1, 1, 0, 0])
    assert ece(predictions) == pytest.approx(0.75 * (0.7 - 2 / 3) + 0.25 * 0.95)
    assert mce(predictions) == pytest.approx(0.95)


def test_two_bins_of_equal_mass_by_hand():
    """The equal-mass error of six examples in two bins, of three each, is the one worked by hand."""
    confidences, hits = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 1.0]), np.array([1.0, 1, 1, 1, 0, 0])
    expected = 0.5 * abs(1 - 0.6) + 0.5 * abs(1 / 3 - 0.9)
    assert netcal_adapter.equal_mass_error(confidences, hits, 2) == pytest.approx(expected)


def test_against_a_plain_loop(classified):
    """ECE, MCE, adaptive and classwise ECE agree with a loop over 15 bins."""
    predictions = classified(count=400, sharpness=4.0)
    stated, hits, probs = (
        confidence(predictions),
        correct(predictions),
        predictions["probs"].astype(np.float64),
    )
    widths, masses = np.linspace(0, 1, 16), np.quantile(stated, np.linspace(0, 1, 16))
    by_class = [
        loop_error(probs[:, k], predictions["targets"] == k, widths)[0]
        for k in range(probs.shape[1])
    ]

    assert (ece(predictions), mce(predictions)) == pytest.approx(loop_error(stated, hits, widths))
    assert adaptive_ece(predictions) == pytest.approx(loop_error(stated, hits, masses)[0])
    assert classwise_ece(predictions) == pytest.approx(np.mean(by_class))


@pytest.fixture(scope="module")
def netcal() -> ModuleType:
    """netcal's measures of confidence, whose warnings are not ours to mend."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from netcal.metrics import confidence
    return confidence


def test_against_netcal_itself(classified, netcal):
    """Where netcal's own equal-mass binning works, adaptive ECE equals it, as ECE and MCE equal
    their default binning.
    """
    predictions = classified(count=2000)
    stated, hits = confidence(predictions), correct(predictions)
    assert ece(predictions) == netcal.ECE(15).measure(stated, hits)
    assert mce(predictions) == netcal.MCE(15).measure(stated, hits)
    assert adaptive_ece(predictions) == netcal.ECE(15, equal_intervals=False).measure(stated, hits)


@pytest.mark.parametrize("seed", range(20))
def test_every_digit_is_netcals(seed, netcal):
    """ECE and MCE equal netcal's in every digit: also with ties, empty bins, few examples, and
    confidences of 0 and 1.
    """
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 2000))
    stated = (random.random(count) ** random.choice([0.1, 0.5, 1, 3])).round(2 + seed % 9)
    stated[: count // (2 + seed % 5)] = seed % 2
    hits = (random.random(count) < stated).astype(np.float64)
    for bins in (1, 10, 15):
        ours = netcal_adapter.expected_error(stated, hits, bins)
        assert ours == netcal.ECE(bins).measure(stated, hits)
        ours = netcal_adapter.maximum_error(stated, hits, bins)
        assert ours == netcal.MCE(bins).measure(stated, hits)


def test_nan_stays_nan():
    """One confidence or hit that is NaN leaves no error, where netcal would drop its row."""
    stated, hits = np.array([0.9, np.nan, 0.4]), np.array([1.0, 0.0, 1.0])
    for error in ("expected_error", "maximum_error", "equal_mass_error"):
        assert np.isnan(getattr(netcal_adapter, error)(stated, hits, 15))
        assert np.isnan(getattr(netcal_adapter, error)(hits, stated, 15))


def test_equal_confidences_share_a_bin():
    """Adaptive ECE is defined where most confidences are equal, and those of exactly 1 have their
    own bin.
    """
    predictions = two_classes([1.0] * 50 + [0.6] * 10, [1] * 40 + [0] * 10 + [1] * 10)
    assert adaptive_ece(predictions) == pytest.approx(50 / 60 * 0.2 + 10 / 60 * 0.4)


def test_our_bins_are_netcals():
    """The bins of reliability curves give netcal's ECE, on and beside every edge and at 0 and 1."""
    edges = np.linspace(0, 1, 16)
    stated = np.clip(np.concatenate([edges, np.nextafter(edges, 0), np.nextafter(edges, 1)]), 0, 1)
    hits = np.random.default_rng(0).integers(0, 2, len(stated)).astype(np.float64)
    bins = netcal_adapter.equal_width_bins(stated, 15)
    ours = np.abs(np.bincount(bins, weights=hits - stated)).sum() / len(stated)
    assert ours == pytest.approx(netcal_adapter.expected_error(stated, hits, 15), abs=1e-12)
    assert (bins.min(), bins.max()) == (0, 14)


def test_calibrated_model_shows_the_ece_it_should(classified):
    """Labels drawn from the predicted probabilities give, on average, the ECE that
    ece_if_calibrated foretells.
    """
    many = [classified(count=1000, seed=seed) for seed in range(20)]
    shown, foretold = [ece(one) for one in many], [ece_if_calibrated(one) for one in many]
    assert np.mean(shown) == pytest.approx(np.mean(foretold), rel=0.1)
    assert np.mean(foretold) > 0.01


def test_calibrated_floor_falls_with_the_number_of_examples(classified):
    """A hundred times more examples lower ece_if_calibrated about tenfold, the square root."""
    ratio = ece_if_calibrated(classified(count=200)) / ece_if_calibrated(classified(count=20_000))
    assert 7 < ratio < 13


def test_calibrated_floor_by_hand():
    """One example of confidence 0.8 has, over many simulations, an expected error of 2 * 0.8 * 0.2."""
    assert ece_if_calibrated(two_classes([0.8], [1])) == pytest.approx(0.32, abs=0.05)


def test_single_precision_costs_nothing():
    """Float32 and float64 confidences give the same ECE to seven digits, with a million examples in
    one bin.
    """
    stated, hits = np.full(1_000_000, 0.9), np.arange(1_000_000) % 10 > 0
    assert ece(two_classes(stated, hits, np.float32)) == pytest.approx(
        ece(two_classes(stated, hits)), abs=1e-7
    )


def test_certain_misses_are_worst():
    """Confidence exactly 1 counts in the last bin: all wrong gives an error of 1, all right of 0."""
    for compute in (ece, adaptive_ece, classwise_ece, mce):
        assert compute(two_classes([1.0] * 5, [0] * 5)) == pytest.approx(1, abs=1e-12)
        assert compute(two_classes([1.0] * 5, [1] * 5)) == pytest.approx(0, abs=1e-12)


def test_classes_without_examples_count():
    """Classwise ECE counts classes that no target has, and no class twice."""
    probs = np.tile(np.array([[0.6, 0.3, 0.1]]), (10, 1))
    predictions = Predictions({"probs": probs, "targets": np.zeros(10, int)})
    assert classwise_ece(predictions) == pytest.approx((0.4 + 0.3 + 0.1) / 3)
