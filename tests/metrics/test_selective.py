"""Areas under risk-coverage curves, coverage at a risk, and accuracy of what is kept."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from bench_uq.api.task import Predictions
from bench_uq.metrics._per_example import confidence, correct
from bench_uq.metrics.selective import accuracy_kept, augrc, aurc, coverage_at_risk
from bench_uq.plan.plugins import Plugins


def ranked(confidences, hits) -> Predictions:
    """Return predictions of class 0 with these confidences, of which some hit."""
    confidences = np.asarray(confidences)
    return Predictions(
        {"probs": np.stack([confidences, 1 - confidences], 1), "targets": 1 - np.asarray(hits)}
    )


def test_four_examples_by_hand():
    """AURC is the mean of the four selective risks, AUGRC the trapezoids under the four joint
    risks.
    """
    predictions = ranked([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0])
    assert aurc(predictions) == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    assert augrc(predictions) == pytest.approx(
        (0 / 2 + (0 + 1) / 2 + (1 + 1) / 2 + (1 + 2) / 2) / 16
    )


def test_bounds():
    """Both areas are 0 without errors; with errors alone AURC is 1 and AUGRC one half."""
    stated = [0.9, 0.8, 0.7]
    assert (aurc(ranked(stated, [1, 1, 1])), augrc(ranked(stated, [1, 1, 1]))) == (0, 0)
    assert (aurc(ranked(stated, [0, 0, 0])), augrc(ranked(stated, [0, 0, 0]))) == pytest.approx(
        (1, 0.5)
    )
    assert (aurc(ranked([0.9], [0])), augrc(ranked([0.9], [0]))) == (1, 0.5)


def test_augrc_closed_form(classified):
    """AUGRC is (1 - AUROC of confidence for hits) acc (1 - acc) + (1 - acc)^2 / 2, ties included
    (Traub 2024).
    """
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
        assert area(ranked(stated, hits)) == pytest.approx(
            area(ranked(stated[shuffled], hits[shuffled])), rel=1e-12
        )


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


def test_rejection_tells_sure_predictions_apart():
    """The surest half is right and the rest wrong, at doubts that leave no trace in a float32 1."""
    doubts = np.geomspace(1e-20, 1e-9, 100)
    probs = np.stack([1 - doubts, doubts], 1).astype(np.float32)
    predictions = Predictions({"probs": probs, "targets": np.repeat([0, 1], 50)})
    assert coverage_at_risk(1, predictions) == 0.5
    assert aurc(predictions) == pytest.approx(sum(1 - 50 / n for n in range(51, 101)) / 100)
    assert augrc(predictions) == pytest.approx(0.125)


def surest_first(thresholds, confidences, hits, percent) -> float:
    """Return the coverage at a risk by trying every threshold."""
    shares = [0.0]
    for threshold in thresholds:
        accepted = confidences >= threshold
        if (1 - hits)[accepted].sum() * 100 <= percent * accepted.sum():
            shares.append(accepted.mean())
    return max(shares)


def test_coverage_at_risk_by_hand():
    """Of 100 the 45 surest are right, which is all that 1 % allows; five errors are 5 % of all, six
    are too many.
    """
    stated = np.linspace(0.99, 0.6, 100)
    hits = np.ones(100)
    hits[[45, 62, 63, 64, 65]] = 0
    predictions = ranked(stated, hits)
    # One error in 62 is 1.6 %, three in 64 are 4.7 %, four in 65 are 6.2 %, five in 66 are 7.6 %.
    assert coverage_at_risk(1, predictions) == 0.45
    assert coverage_at_risk(5, predictions) == 1.0
    hits[99] = 0  # five in 99 are 5.05 %
    assert coverage_at_risk(5, ranked(stated, hits)) == 0.64


def test_coverage_at_risk_is_the_largest_not_the_first():
    """An error among the surest ends nothing: it is one of a hundred in the end."""
    hits = np.ones(100)
    hits[0] = 0
    assert coverage_at_risk(1, ranked(np.linspace(0.99, 0.6, 100), hits)) == 1.0
    assert coverage_at_risk(1, ranked(np.linspace(0.99, 0.6, 99), hits[:99])) == 0.0


def test_coverage_at_risk_counts_whole_numbers():
    """Seven errors in 700 are 1 %, whatever 0.01 times 700 is in binary."""
    assert coverage_at_risk(1, ranked([0.9] * 700, [0] * 7 + [1] * 693)) == 1.0
    assert coverage_at_risk(1, ranked([0.9] * 700, [0] * 8 + [1] * 692)) == 0.0


def test_coverage_at_risk_takes_ties_together():
    """No threshold parts equal confidences: all of them are accepted, or none, in whatever order
    they stand.
    """
    stated, hits = np.repeat([0.9, 0.8], 20), np.array([1] * 20 + [1] * 18 + [0] * 2)
    assert coverage_at_risk(5, ranked(stated, hits)) == 1.0
    hits[20] = 0  # three errors in 40
    for order in (np.arange(40), np.random.default_rng(0).permutation(40)):
        assert coverage_at_risk(5, ranked(stated[order], hits[order])) == 0.5


@pytest.mark.parametrize("percent", [1, 5])
@pytest.mark.parametrize("seed", range(5))
def test_coverage_at_risk_tries_every_threshold(classified, percent, seed):
    """It is what trying all thresholds finds, with ties and without."""
    predictions = classified(seed=seed, classes=3, sharpness=6.0)
    for one in (
        predictions,
        Predictions({**predictions.arrays, "probs": predictions["probs"].round(2)}),
    ):
        stated = confidence(one)
        expected = surest_first(np.unique(stated), stated, correct(one), percent)
        assert coverage_at_risk(percent, one) == pytest.approx(expected, abs=1e-12)


def test_nothing_is_covered_where_the_surest_are_wrong():
    """Errors alone leave no coverage, and no accuracy of what is kept; no errors leave all of both."""
    stated = np.linspace(0.95, 0.6, 30)
    for hits, expected in ((np.zeros(30), 0.0), (np.ones(30), 1.0)):
        predictions = ranked(stated, hits)
        assert [coverage_at_risk(percent, predictions) for percent in (1, 5)] == [expected] * 2
        assert [accuracy_kept(percent, predictions) for percent in (80, 50)] == [expected] * 2


def test_accuracy_kept_by_hand():
    """Of five the most uncertain is refused, of four a part: 3.2 kept have the errors of three and
    a fifth of one.
    """
    assert accuracy_kept(
        80, ranked([0.95, 0.9, 0.85, 0.8, 0.75], [1, 0, 1, 1, 0])
    ) == pytest.approx(3 / 4)
    assert accuracy_kept(80, ranked([0.9, 0.8, 0.7, 0.6], [1, 1, 1, 0])) == pytest.approx(
        1 - 0.2 / 3.2
    )
    assert accuracy_kept(50, ranked([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0])) == pytest.approx(1 / 2)


def test_accuracy_kept_goes_by_entropy_or_by_confidence():
    """A confident prediction whose rest is spread out is refused by its entropy, and kept by its
    confidence.
    """
    probs = np.array([[0.55, 0.15, 0.15, 0.15], [0.51, 0.49, 0, 0]])
    predictions = Predictions({"probs": probs, "targets": np.array([1, 0])})
    assert confidence(predictions)[0] > confidence(predictions)[1]
    assert accuracy_kept(50, predictions) == 1.0
    assert Plugins().metrics()["accuracy_kept_50_confidence"].compute(predictions, None) == 0.0


def test_accuracy_kept_counts_ties_in_expectation():
    """Of equal entropies a random part is kept, in expectation, in whatever order they stand."""
    stated, hits = np.repeat([0.9, 0.6], 10), np.array([1] * 10 + [1] * 6 + [0] * 4)
    for order in (np.arange(20), np.random.default_rng(0).permutation(20)):
        predictions = ranked(stated[order], hits[order])
        assert accuracy_kept(80, predictions) == pytest.approx((10 + 6 * 0.6) / 16)
        assert accuracy_kept(50, predictions) == 1.0


def test_accuracy_kept_is_that_of_the_lowest_entropies(classified):
    """Without ties it is the accuracy of the first so many in the order of SciPy's entropies."""
    predictions = classified(count=500)
    order = np.argsort(stats.entropy(predictions["probs"].astype(float), axis=1))
    for percent in (80, 50):
        expected = correct(predictions)[order][: 5 * percent].mean()
        assert accuracy_kept(percent, predictions) == pytest.approx(expected, abs=1e-12)


def test_useless_uncertainty_keeps_the_accuracy(classified):
    """Where the order says nothing, refusing wins nothing."""
    predictions = classified(count=20_000)
    shuffled = np.random.default_rng(1).permutation(len(predictions))
    hits = correct(predictions)[shuffled].astype(int)
    wrong = (predictions["probs"].argmax(1) + 1) % 4
    useless = Predictions(
        {**predictions.arrays, "targets": np.where(hits, predictions["probs"].argmax(1), wrong)}
    )
    assert accuracy_kept(50, useless) == pytest.approx(hits.mean(), abs=0.02)


def test_what_metrics_share_is_computed_once_and_cannot_be_changed():
    """All metrics of a condition start from the same arrays, which none of them can spoil for the
    next.
    """
    one = Predictions(
        {"probs": np.array([[0.9, 0.1], [0.4, 0.6]], np.float32), "targets": np.array([0, 0])}
    )
    assert confidence(one) is confidence(one)
    with pytest.raises(ValueError, match="read-only"):
        confidence(one)[0] = 0
    assert confidence(one.first(1)).tolist() == confidence(one)[:1].tolist()
