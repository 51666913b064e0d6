"""Entropies and their decomposition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench_uq.api.task import Predictions
from bench_uq.metrics import _per_example as per_example
from bench_uq.metrics.detection import METRICS as DETECTION
from bench_uq.metrics.uncertainty import aleatoric, entropy, epistemic


def test_entropy_of_known_distributions():
    """A certain prediction has entropy exactly 0, a uniform one log C."""
    probs = np.array([[1, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0, 0]], np.float32)
    assert per_example.entropy(Predictions({"probs": probs})) == pytest.approx(
        [0, math.log(4), math.log(2)], abs=1e-15
    )
    assert math.copysign(1, entropy(Predictions({"probs": probs[:1]}))) == 1


def test_entropy_against_scipy(classified):
    """Mean predictive entropy agrees with scipy's."""
    predictions = classified()
    assert entropy(predictions) == pytest.approx(
        stats.entropy(predictions["probs"].astype(float), axis=1).mean()
    )


def test_total_is_the_sum_of_its_parts(classified):
    """Entropy is aleatoric plus epistemic, to the rounding of float32."""
    predictions = classified()
    assert entropy(predictions) == pytest.approx(
        aleatoric(predictions) + epistemic(predictions), abs=1e-6
    )
    assert epistemic(predictions) > 0.1


def test_draws_that_contradict_each_other():
    """Two certain draws that disagree are all epistemic: log 2 of it."""
    predictions = Predictions(
        {"probs": np.array([[0.5, 0.5]], np.float32), "draw_entropy": np.zeros(1, np.float32)}
    )
    assert (aleatoric(predictions), epistemic(predictions)) == (0, pytest.approx(math.log(2)))


@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("sharpness", [0.0, 1.0, 10.0])
def test_one_draw_knows_no_epistemic_uncertainty(classified, classes, sharpness):
    """A method of one draw has mutual information of exactly 0, whatever float32 makes of it."""
    predictions = classified(draws=1, classes=classes, sharpness=sharpness)
    assert per_example.epistemic(predictions).max() == 0


def test_one_draw_cannot_detect_by_epistemic_uncertainty(classified):
    """A method of one draw detects unseen data by mutual information exactly as well as chance."""
    clean, unseen = classified(draws=1, sharpness=6.0), classified(draws=1, sharpness=0.1, seed=1)
    found = {
        metric.id: metric.compute(unseen, clean)
        for metric in DETECTION
        if metric.id.endswith("epistemic")
    }
    assert found == {"auroc_epistemic": 0.5, "aupr_epistemic": 0.5, "fpr95_epistemic": 1.0}


def test_confidence_never_exceeds_one():
    """A float32 probability a rounding above 1 is a confidence of exactly 1 and an entropy of at
    least 0.
    """
    above = Predictions(
        {"probs": np.array([[np.nextafter(np.float32(1), np.float32(2)), 0]], np.float32)}
    )
    assert per_example.confidence(above) == [1.0]
    assert per_example.entropy(above) == [0.0]
