"""Curves for figures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench_uq.api.task import Predictions
from bench_uq.metrics.calibration import ece
from bench_uq.metrics.proper_scores import accuracy
from bench_uq.metrics.selective import aurc
from bench_uq.metrics.uncertainty import entropy
from bench_uq.score.curves import curves, rows


def by_name(predictions: Predictions) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the curves by name."""
    return {name: (x, y) for name, x, y in curves(predictions)}


def test_curves_follow_the_arrays(classified):
    """Labels bring all curves, unseen data those of the entropy, real targets none."""
    labelled = classified()
    entropies = ["entropy_histogram", "entropy_ecdf"]
    assert list(by_name(Predictions({"probs": labelled["probs"]}))) == entropies
    reliability = ["reliability_accuracy", "reliability_confidence", "reliability_share"]
    rejection = ["risk_coverage", "accuracy_confidence"]
    assert list(by_name(labelled)) == [*entropies, *rejection, *reliability]
    assert curves(Predictions({"mean": np.zeros(3), "targets": np.zeros(3)})) == []


def test_curves_are_those_that_figures_show(classified):
    """Rejection, reliability and histograms are shown at every level, regression on clean data."""
    labelled = classified()
    names = [name for name, *_ in curves(labelled, clean=False, strongest=False)]
    shown = [f"reliability_{part}" for part in ("accuracy", "confidence", "share")]
    assert names == ["entropy_histogram", "risk_coverage", *shown]
    assert curves(regressed(np.arange(3.0)), clean=False) == []


def test_rows_have_six_digits():
    """Places and heights are rounded, a height that is not finite is empty."""
    found = [("name", np.array([1 / 3, 2e6 / 3]), np.array([np.nan, 2 / 3]))]
    assert rows("clean", None, found) == [
        ["clean", None, "name", 0.333333, None],
        ["clean", None, "name", 666667.0, 0.666667],
    ]


def test_rows_far_from_zero_keep_their_spread():
    """Places with an offset stay apart, to a ten-thousandth of their spread; noise gets no digits."""
    times = 1.7e9 + np.linspace(0, 1e4, 101)
    places = [row[3] for row in rows("clean", None, [("name", times, times)])]
    assert places == pytest.approx(times, abs=1)
    assert len(set(places)) == 101
    flat = 0.3 + 1e-8 * np.arange(3)
    assert {row[4] for row in rows("clean", None, [("name", flat, flat)])} == {0.3}


def test_curves_compare_the_same_grid(classified):
    """x and y are equally long, finite, and on one grid whatever the data."""
    one, other = by_name(classified()), by_name(classified(count=77, seed=1))
    for name, (x, y) in one.items():
        assert len(x) == len(y)
        assert np.isfinite(y).all() or name == "accuracy_confidence"  # nobody may be that sure
        if name not in ("reliability_accuracy", "reliability_confidence"):
            np.testing.assert_array_equal(x, other[name][0])


def test_entropy_histogram(classified):
    """The 40 shares sum to 1 and their centres average to the mean entropy, to half a bin."""
    predictions = classified(classes=10)
    x, y = by_name(predictions)["entropy_histogram"]
    half = math.log(10) / 80
    assert (len(x), y.sum()) == (40, pytest.approx(1))
    assert (x[0], x[-1]) == pytest.approx((half, math.log(10) - half))
    assert x @ y == pytest.approx(entropy(predictions), abs=half)


def test_entropy_ecdf(classified):
    """The ECDF counts by a plain loop, rises, and the area above it is the mean entropy."""
    predictions = classified(classes=10)
    x, y = by_name(predictions)["entropy_ecdf"]
    probs = predictions["probs"].astype(float)
    entropies = -(probs * np.log(probs)).sum(axis=1)
    assert list(y[:-1]) == [np.mean(entropies <= t) for t in x[:-1]]
    assert (len(x), x[0], x[-1], y[-1]) == (101, 0, pytest.approx(math.log(10)), 1)
    assert np.trapezoid(1 - y, x) == pytest.approx(entropy(predictions), abs=0.01)


@pytest.mark.parametrize("classes", [2, 3, 7, 10, 1000])
@pytest.mark.parametrize("excess", [-1e-6, 0, 1e-6])
def test_uniform_predictions_end_at_one(classes, excess):
    """Uniform float32 probabilities, even if they sum to 1 + 1e-6, lie in the last bin and below
    log C.
    """
    predictions = Predictions({"probs": np.full((5, classes), (1 + excess) / classes, np.float32)})
    found = by_name(predictions)
    assert found["entropy_ecdf"][1][-1] == 1
    assert found["entropy_histogram"][1][-1] == 1


def test_certain_predictions_start_at_one():
    """Certain predictions have entropy 0: the ECDF is 1 at 0 and the histogram full in its first
    bin.
    """
    found = by_name(Predictions({"probs": np.eye(4, dtype=np.float32)}))
    assert found["entropy_ecdf"][1][0] == 1
    assert found["entropy_histogram"][1][0] == 1


def test_reliability_holds_the_ece(classified):
    """The gaps of the reliability curves weighted by their shares are the ECE."""
    predictions = classified()
    found = by_name(predictions)
    shares = found["reliability_share"][1]
    gaps = np.abs(found["reliability_accuracy"][1] - found["reliability_confidence"][1])
    assert shares.sum() == pytest.approx(1)
    assert gaps @ shares[shares > 0] == pytest.approx(ece(predictions), abs=1e-12)


def test_reliability_by_hand():
    """Confidence exactly 1 is in the last bin, empty bins have a share of 0 and neither accuracy
    nor confidence.
    """
    probs = np.array([[1.0, 0.0], [1.0, 0.0], [0.51, 0.49]])
    found = by_name(Predictions({"probs": probs, "targets": np.array([0, 1, 1])}))
    np.testing.assert_allclose(found["reliability_accuracy"], [[7.5 / 15, 14.5 / 15], [0, 0.5]])
    np.testing.assert_allclose(found["reliability_confidence"], [[7.5 / 15, 14.5 / 15], [0.51, 1]])
    np.testing.assert_allclose(found["reliability_share"][1], [0] * 7 + [1 / 3] + [0] * 6 + [2 / 3])


def test_risk_coverage(classified):
    """The curve ends at the error rate, agrees with the sorted errors, and averages to the AURC."""
    predictions = classified(count=1000)
    x, y = by_name(predictions)["risk_coverage"]
    order = np.argsort(-predictions["probs"].max(axis=1), kind="stable")
    errors = (predictions["probs"].argmax(axis=1) != predictions["targets"])[order]
    assert (len(x), x[0], x[-1]) == (100, 0.01, 1)
    np.testing.assert_allclose(y, [errors[: 10 * k].mean() for k in range(1, 101)])
    assert y[-1] == pytest.approx(1 - accuracy(predictions))
    assert y.mean() == pytest.approx(aurc(predictions), abs=0.01)


def test_accuracy_confidence(classified):
    """A plain loop gives the same, confidence 0 is the accuracy, and where nobody is that sure
    there is a hole.
    """
    predictions = classified(count=200)
    x, y = by_name(predictions)["accuracy_confidence"]
    confidence = predictions["probs"].astype(float).max(axis=1)
    right = predictions["probs"].argmax(axis=1) == predictions["targets"]
    expected = [
        right[confidence >= least].mean() if (confidence >= least).any() else np.nan for least in x
    ]

    np.testing.assert_array_equal(y, expected)
    assert (len(x), x[0], x[-1]) == (50, 0, 0.98)
    assert y[0] == accuracy(predictions)

    unsure = by_name(
        Predictions({"probs": np.array([[0.5, 0.5]], np.float32), "targets": np.array([0])})
    )
    np.testing.assert_array_equal(unsure["accuracy_confidence"][1], [1.0] * 26 + [np.nan] * 24)


def test_one_example():
    """One wrong example has a risk of 1 at every coverage."""
    found = by_name(
        Predictions({"probs": np.array([[0.8, 0.2]], np.float32), "targets": np.array([1])})
    )
    np.testing.assert_allclose(found["risk_coverage"][1], 1)
    assert found["reliability_accuracy"][1] == [0]


def regressed(x: np.ndarray, **arrays: np.ndarray) -> Predictions:
    """Return stored predictions for inputs x (N,): five draws N(s x, (1 + s)^2), s = 0..4, unless
    arrays say else.
    """
    s = np.arange(5)[:, None]
    means, variances = s * x, (1 + s) ** 2 + 0 * x
    stored = {
        "inputs": x[:, None],
        "mean": means.mean(0),
        "variance": (means**2 + variances).mean(0) - means.mean(0) ** 2,
        "draw_variance": variances.mean(0),
        "targets": 10 * x,
    }
    return Predictions(
        {name: array.astype(np.float32) for name, array in {**stored, **arrays}.items()}
    )


def test_bands_by_hand():
    """Means s x, s = 0..4, average to 2 x and scatter by sqrt(2) |x|; draws of deviations 1..5 add
    11.
    """
    x = np.array([3.0, -1, 0, 2])
    found = by_name(regressed(x))
    order = [-1.0, 0, 2, 3]
    for name, expected in {
        "regression_mean": [2 * at for at in order],
        "regression_std": [math.sqrt(11 + 2 * at**2) for at in order],
        "regression_target": [10 * at for at in order],
    }.items():
        np.testing.assert_allclose(found.pop(name), [order, expected], rtol=1e-5)
    assert found == {}


def test_bands_are_drawn_through_places_in_order():
    """Each place counts once, and of very many an even choice with both ends is drawn."""
    x = np.random.default_rng(0).permutation(np.linspace(-1, 1, 4001)).repeat(2)
    places, mean = by_name(regressed(x))["regression_mean"]
    assert len(places) == 500
    assert (np.diff(places) > 0).all()
    assert (places[0], places[-1]) == (-1, 1)
    assert np.diff(places).max() < 2 * np.diff(places).min()
    np.testing.assert_allclose(mean, 2 * places, atol=1e-6)


def test_bands_need_a_single_feature():
    """Without all inputs, of one feature each, there are no bands; without targets there are."""
    x = np.arange(4.0)
    whole = regressed(x)
    assert by_name(Predictions({**whole.arrays, "inputs": np.zeros((4, 2))})) == {}
    assert by_name(Predictions({**whole.arrays, "inputs": x[:3, None]})) == {}
    unseen = Predictions({name: array for name, array in whole.arrays.items() if name != "targets"})
    assert list(by_name(unseen)) == ["regression_mean", "regression_std"]
