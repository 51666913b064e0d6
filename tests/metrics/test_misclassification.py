"""Entropy of right and of wrong predictions, and how well it tells them apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from bench_uq.api.task import Predictions
from bench_uq.metrics._per_example import correct, entropy
from bench_uq.metrics.misclassification import auroc_errors, entropy_where
from bench_uq.plan.plugins import Plugins

CARDS = Plugins().metrics()

LN2 = np.log(2)


def between_two(hits, sure) -> Predictions:
    """Return predictions of class 0, certain or undecided between two of three classes, of which
    some hit.
    """
    probs = np.where(np.asarray(sure)[:, None], [1.0, 0, 0], [0.5, 0.5, 0])
    return Predictions({"probs": probs, "targets": np.where(hits, 0, 2)})


def test_entropy_of_right_and_wrong_by_hand():
    """Of three right ones one is undecided, of two wrong ones both are: ln 2 / 3 and ln 2."""
    predictions = between_two([1, 1, 1, 0, 0], [1, 1, 0, 0, 0])
    assert entropy_where(True, predictions) == pytest.approx(LN2 / 3)
    assert entropy_where(False, predictions) == pytest.approx(LN2)


def test_entropies_make_up_the_entropy_of_all(classified):
    """Weighted by how many there are, both means are that of the metric ``entropy``."""
    predictions = classified()
    accuracy = correct(predictions).mean()
    parts = accuracy * entropy_where(True, predictions) + (1 - accuracy) * entropy_where(
        False, predictions
    )
    assert parts == pytest.approx(CARDS["entropy"].compute(predictions, None))


def test_entropies_are_those_of_scipy(classified):
    """The means are those of SciPy's entropies."""
    predictions = classified()
    each, hits = (
        stats.entropy(predictions["probs"].astype(float), axis=1),
        correct(predictions) == 1,
    )
    assert entropy_where(True, predictions) == pytest.approx(each[hits].mean(), rel=1e-6)
    assert entropy_where(False, predictions) == pytest.approx(each[~hits].mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("hits", "lacking"), [([1, 1], "entropy_wrong"), ([0, 0], "entropy_right")]
)
def test_what_there_is_none_of_has_no_number(hits, lacking):
    """Without a wrong, or a right, prediction there is neither its entropy nor an AUROC."""
    predictions = between_two(hits, [1, 0])
    values = {
        name: CARDS[name].compute(predictions, None)
        for name in ("entropy_right", "entropy_wrong", "auroc_errors_entropy")
    }
    assert {name for name, value in values.items() if np.isnan(value)} == {
        lacking,
        "auroc_errors_entropy",
    }


def test_auroc_of_errors_by_hand():
    """Of six pairs of a wrong and a right one two are in order, three are ties and one is the wrong
    way round.
    """
    predictions = between_two([1, 1, 1, 0, 0], [1, 1, 0, 0, 1])
    # The undecided wrong one beats two of three right ones and ties with one; the certain one ties with two.
    assert auroc_errors(predictions) == pytest.approx((2 + 0.5 + 2 * 0.5) / 6)


def test_auroc_of_errors_is_that_of_all_pairs_and_of_scikit_learn(classified):
    """It is the share of pairs in order, ties counting half, with ties and without."""
    predictions = classified(count=300)
    for one in (
        predictions,
        Predictions({**predictions.arrays, "probs": predictions["probs"].round(1)}),
    ):
        each, hits = entropy(one), correct(one) == 1
        gaps = each[~hits][:, None] - each[hits]
        assert auroc_errors(one) == pytest.approx((gaps > 0).mean() + (gaps == 0).mean() / 2)
        assert auroc_errors(one) == pytest.approx(roc_auc_score(~hits, each))
        rank_sum = stats.mannwhitneyu(each[~hits], each[hits]).statistic
        assert auroc_errors(one) == pytest.approx(rank_sum / gaps.size)


def test_constant_entropy_tells_nothing():
    """Where all are equally sure the AUROC of errors is one half."""
    assert auroc_errors(between_two([1, 0, 1, 0], [0, 0, 0, 0])) == 0.5
