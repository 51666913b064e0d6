"""Areas under risk-coverage curves."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bench_uq.contracts import Predictions
from bench_uq.metrics.per_example import confidence, correct
from bench_uq.metrics.selective import augrc, aurc


def ranked(confidences, hits) -> Predictions:
    """Return predictions of class 0 with these confidences, of which some hit."""
    confidences = np.asarray(confidences)
    return Predictions({"probs": np.stack([confidences, 1 - confidences], 1), "targets": 1 - np.asarray(hits)})


def test_four_examples_by_hand():
    """AURC is the mean of the four selective risks, AUGRC the trapezoids under the four joint risks."""
    predictions = ranked([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0])
    assert aurc(predictions) == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    assert augrc(predictions) == pytest.approx((0 / 2 + (0 + 1) / 2 + (1 + 1) / 2 + (1 + 2) / 2) / 16)


def test_bounds():
    """Both areas are 0 without errors; with errors alone AURC is 1 and AUGRC one half."""
    stated = [0.9, 0.8, 0.7]
    assert (aurc(ranked(stated, [1, 1, 1])), augrc(ranked(stated, [1, 1, 1]))) == (0, 0)
    assert (aurc(ranked(stated, [0, 0, 0])), augrc(ranked(stated, [0, 0, 0]))) == pytest.approx((1, 0.5))
    assert (aurc(ranked([0.9], [0])), augrc(ranked([0.9], [0]))) == (1, 0.5)


def test_augrc_closed_form(classified):
    """AUGRC is (1 - AUROC of confidence for hits) acc (1 - acc) + (1 - acc)^2 / 2, ties included (Traub 2024)."""
    predictions = classified(classes=3, sharpness=1.0)
    rounded = predictions["probs"].round(1)
    for one in (predictions, Predictions({**predictions.arrays, "probs": rounded})):
        hits = correct(one)
        accuracy, auroc = hits.mean(), roc_auc_score(hits, confidence(one))
        expected = (1 - auroc) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2
        assert augrc(one) == pytest.approx(expected)


def test_ties_do_not_depend_on_the_order_of_examples():
    """Shuffling examples of equal confidence changes neither area."""
    stated, hits = np.repeat([0.9, 0.6], 10), np.arange(20) % 3 > 0
    shuffled = np.random.default_rng(0).permutation(20)
    for area in (aurc, augrc):
        assert area(ranked(stated, hits)) == pytest.approx(area(ranked(stated[shuffled], hits[shuffled])), rel=1e-12)


def test_ties_count_in_expectation():
    """AURC with ties is its mean over random orders of the tied examples."""
    generator = np.random.default_rng(0)
    stated, hits = np.repeat([0.9, 0.6], 5), np.array([1, 0, 1, 1, 1, 0, 0, 1, 0, 1])
    broken = [aurc(ranked(stated + 1e-6 * generator.random(10), hits)) for _ in range(3000)]
    assert aurc(ranked(stated, hits)) == pytest.approx(np.mean(broken), abs=0.004)


def test_equal_confidences_leave_the_error_rate():
    """Where all confidences are equal, AURC is the error rate and AUGRC half of it."""
    predictions = ranked([0.7] * 10, [1] * 6 + [0] * 4)
    assert (aurc(predictions), augrc(predictions)) == pytest.approx((0.4, 0.2))
