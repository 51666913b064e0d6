"""Two models are compared in pairs of examples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

import bench_uq
from bench_uq.evaluate.scores import Scores


def scores(correct: np.ndarray, name: str, confidence: float = 0.8, **options) -> Scores:
    """Scores of a model of two classes that is right where ``correct``, for labels of 0."""
    right = np.where(correct, confidence, 1 - confidence)
    probs = np.stack([right, 1 - right], 1)
    return bench_uq.evaluate(probs, np.zeros(len(probs), int), name=name, **options)


def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Where two models are right: both miss the same hard tenth, the second 40 examples more."""
    first = np.ones(1000, bool)
    first[:100] = False
    second = first.copy()
    second[100:140] = False
    return first, second


def test_difference_by_hand() -> None:
    """The difference, its interval and its p-value are those of a paired test."""
    first, second = pairs()
    found = bench_uq.compare(scores(first, "one"), scores(second, "two"), metrics=["accuracy"])
    (row,) = found.differences
    assert (row.first, row.second) == (0.9, 0.86)
    assert row.value == pytest.approx(0.04)
    expected = ttest_rel(first.astype(float), second.astype(float))
    low, high = expected.confidence_interval()
    assert (row.low, row.high) == pytest.approx((low, high), abs=0.003)
    assert row.better == "one"
    assert "one is better in accuracy (clean)" in str(found)
    assert "bootstrap over pairs of examples" in found._repr_html_()
    assert r"Accuracy $\uparrow$" in found.to_latex()


def test_lower_is_better_where_the_card_says_so() -> None:
    """The model of the lower NLL is the better one, on whichever side it stands."""
    first, second = pairs()
    for one, other in ((first, second), (second, first)):
        found = bench_uq.compare(
            scores(one, "one"), scores(other, "two"), metrics=["nll", "accuracy"]
        )
        better = "one" if one is first else "two"
        assert {row.better for row in found.differences} == {better}


def test_nothing_is_claimed_without_a_spread() -> None:
    """One example, or two models that differ alike in all: no interval, and no better model."""
    one = bench_uq.evaluate([[0.9, 0.1]], [0], name="one", resamples=20)
    two = bench_uq.evaluate([[0.8, 0.2]], [0], name="two", resamples=20)
    for row in bench_uq.compare(one, two).differences:
        assert (row.better, row.p) == ("", 1)
        assert np.isnan([row.low, row.high]).all()


def test_rounding_is_no_difference() -> None:
    """Draws, and their mean as another library averages it, are one model in two forms."""
    random = np.random.default_rng(0)
    labels, draws = random.integers(3, size=300), random.dirichlet(np.ones(3), size=(50, 300))
    one = bench_uq.evaluate(draws.mean(0), labels, name="one", resamples=50)
    other = bench_uq.evaluate(draws, labels, name="other", resamples=50)
    found = {row.metric: row for row in bench_uq.compare(one, other).differences}
    assert 0 < abs(found["nll"].value) < 1e-12
    assert {row.p for row in found.values()} == {1.0}
    assert {row.better for row in found.values()} == {""}


def test_pairs_tell_more_than_two_intervals() -> None:
    """What is hard for both models cancels out: the interval is narrower than each model's own."""
    first, second = pairs()
    one, two = scores(first, "one"), scores(second, "two")
    row = bench_uq.compare(one, two, metrics=["accuracy"]).differences[0]
    assert row.high - row.low < one.at("accuracy").high - one.at("accuracy").low
    assert row.high - row.low < two.at("accuracy").high - two.at("accuracy").low


def test_equal_models_do_not_differ() -> None:
    """A model against itself, or one of equal merit, is not better; scores of no direction are not
    judged.
    """
    first, _ = pairs()
    same = bench_uq.compare(scores(first, "one"), scores(first, "two"))
    assert {row.value for row in same.differences} == {0}
    assert "No difference is significant" in str(same)

    random = np.random.default_rng(0)
    for _ in range(5):
        one, two = (scores(random.random(300) < 0.8, name) for name in ("one", "two"))
        found = bench_uq.compare(one, two, metrics=["accuracy", "entropy"])
        assert {row.better for row in found.differences} == {""}


def test_other_data_are_drawn_alike_for_both() -> None:
    """AUROC of unseen data is compared too; that by mutual information needs draws."""
    first, second = pairs()
    flat = {"other": np.full((200, 2), 0.5)}
    one = scores(first, "one", 0.9, unseen=flat, resamples=50)
    two = scores(second, "two", 0.9, unseen=flat, resamples=50)
    found = bench_uq.compare(one, two).to_frame()
    unseen = set(found[found.condition == "other"].metric)
    assert unseen == {"auroc_entropy", "auroc_confidence"}
    assert (found[found.condition == "other"].value == 0).all()


def test_other_examples_are_refused() -> None:
    """Pairs need the same labels in the same order, and models two names."""
    first, _ = pairs()
    one = scores(first, "one", resamples=2)
    with pytest.raises(ValueError, match="predicts 1000 examples, two 999"):
        bench_uq.compare(one, scores(first[1:], "two", resamples=2))
    other = bench_uq.evaluate([[0.5, 0.5]] * 1000, [0] * 999 + [1], name="two", resamples=2)
    with pytest.raises(ValueError, match="row 999 has another label in two"):
        bench_uq.compare(one, other)
    with pytest.raises(ValueError, match="both models are called 'one'"):
        bench_uq.compare(one, one)
    with pytest.raises(ValueError, match="did you mean 'accuracy'"):
        bench_uq.compare(one, other, metrics=["acuracy"])
