"""Accuracy, NLL and Brier score."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from bench_uq.api.task import Predictions
from bench_uq.metrics.proper_scores import accuracy, brier, nll


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
