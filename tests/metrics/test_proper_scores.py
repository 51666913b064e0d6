"""Accuracy, NLL and Brier score."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.metrics import brier_score_loss, log_loss

from bench_uq.api.task import Predictions
from bench_uq.methods.temperature import Temperature
from bench_uq.metrics import _temperature as temperature
from bench_uq.metrics.proper_scores import accuracy, brier, calibrated_nll, nll


def test_three_examples_by_hand():
    """Accuracy, NLL and Brier of three worked examples are those found by hand."""
    predictions = Predictions(
        {
            "probs": np.array([[1.0, 0.0], [0.25, 0.75], [0.5, 0.5]], np.float32),
            "targets": np.array([0, 0, 1]),
            "log_density": np.log([1.0, 0.25, 0.5]),
        }
    )
    assert accuracy(predictions) == pytest.approx(1 / 3)  # the tie goes to class 0, which is wrong
    assert nll(predictions) == pytest.approx((math.log(4) + math.log(2)) / 3)
    assert brier(predictions) == pytest.approx((0 + 2 * 0.75**2 + 2 * 0.5**2) / 3)


def test_brier_spans_zero_to_two():
    """The Brier score is exactly 0 for certain hits and exactly 2 for certain misses."""
    probs = np.eye(3, dtype=np.float32)
    assert brier(Predictions({"probs": probs, "targets": np.arange(3)})) == 0
    assert brier(Predictions({"probs": probs, "targets": np.array([1, 2, 0])})) == 2


def test_against_scikit_learn(classified):
    """NLL agrees with scikit-learn's multiclass log loss, Brier with the sum of its Brier scores of
    each class.
    """
    predictions = classified()
    probs = predictions["probs"].astype(np.float64)
    probs /= probs.sum(axis=1, keepdims=True)
    labels = range(probs.shape[1])
    assert nll(predictions) == pytest.approx(
        log_loss(predictions["targets"], probs, labels=labels), rel=1e-6
    )
    oracle = sum(
        brier_score_loss(predictions["targets"] == label, probs[:, label]) for label in labels
    )
    assert brier(predictions) == pytest.approx(oracle, rel=1e-6)


def test_scores_are_summed_in_double_precision():
    """The NLL of a million equal float32 log-densities is that log-density, in every digit of
    float64.
    """
    log_density = np.full(1_000_000, -0.1, np.float32)
    assert nll(Predictions({"log_density": log_density})) == pytest.approx(
        float(-log_density[0]), rel=1e-12
    )


def sharpened(predictions: Predictions, factor: float) -> Predictions:
    """Predictions whose log-probabilities are multiplied by a factor."""
    log_probs = log_softmax(factor * np.log(predictions["probs"].astype(np.float64)), axis=1)
    targets = predictions["targets"]
    density = log_probs[np.arange(len(targets)), targets]
    arrays = {"probs": np.exp(log_probs), "log_density": density, "targets": targets}
    return Predictions(arrays)


def test_calibrated_nll_against_a_grid(classified):
    """It is the NLL at the best of many temperatures for the held-out examples, by scipy's softmax;
    the temperature is found again by which calibrated predictions were divided.
    """
    held_out, shown = classified(seed=1), classified(seed=2)
    for factor in (0.3, 1.0, 3.0):
        first, second = sharpened(held_out, factor), sharpened(shown, factor)
        grid = np.linspace(-2, 2, 8001)
        found = []
        for log_t in grid:
            scaled = log_softmax(np.log(first["probs"]) / np.exp(log_t), axis=1)
            rows = np.arange(len(scaled))
            found.append(-scaled[rows, first["targets"]].mean() + log_t**2 / (2 * len(scaled)))
        best = np.exp(grid[np.argmin(found)])

        scaled = log_softmax(np.log(second["probs"]) / best, axis=1)
        oracle = -scaled[np.arange(len(scaled)), second["targets"]].mean()
        assert calibrated_nll(second, first) == pytest.approx(oracle, abs=1e-4)
        # Labels are drawn from the probabilities before they were sharpened.
        assert best == pytest.approx(factor, rel=0.25)


def test_calibrated_nll_is_the_nll_of_temperature_scaling(classified):
    """The temperature is that of the method of this name, where both see the same examples."""
    held_out = sharpened(classified(seed=1), 3.0)
    log_probs = torch.from_numpy(temperature.log_probs(held_out))
    targets = torch.from_numpy(held_out["targets"])
    (fitted,) = Temperature().fitted(log_probs, targets, [torch.zeros(())])
    assert temperature.log_temperature(held_out) == pytest.approx(float(fitted), abs=1e-5)


def test_calibrated_nll_at_the_ends():
    """Held-out examples that are all right do not make it infinite; a density that underflows
    counts; where no temperature helps, it is 1.
    """
    right = Predictions(
        {
            "probs": np.array([[0.99, 0.01]] * 20),
            "targets": np.zeros(20, int),
            "log_density": np.log(np.full(20, 0.99)),
        }
    )
    wrong = Predictions(
        {
            "probs": np.array([[1.0, 0.0]], np.float32),
            "targets": np.array([1]),
            "log_density": np.array([-200.0]),
        }
    )
    chosen = temperature.log_temperature(right)
    assert -3 < chosen < 0
    assert calibrated_nll(wrong, right) == pytest.approx(200 / math.exp(chosen), rel=1e-6)

    impossible = Predictions({**wrong.arrays, "log_density": np.array([-np.inf])})
    assert calibrated_nll(right, impossible) == pytest.approx(-math.log(0.99), rel=1e-9)
