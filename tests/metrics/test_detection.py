"""AUROC, AUPR and FPR95 of unseen data against clean."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from bench_uq.api.likelihoods import Categorical
from bench_uq.api.task import Predictions
from bench_uq.metrics import _per_example as per_example
from bench_uq.metrics.detection import METRICS, aupr, auroc, fpr95, operating
from bench_uq.plan.plugins import Plugins

CARDS = Plugins().metrics()


def test_six_scores_by_hand():
    """Three positives against three negatives with one tie give the numbers worked by hand."""
    positive, negative = np.array([0.9, 0.5, 0.4]), np.array([0.5, 0.2, 0.1])
    assert auroc(operating(positive, negative)) == pytest.approx((3 + 2.5 + 2) / 9)
    assert aupr(operating(positive, negative)) == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    assert fpr95(operating(positive, negative)) == pytest.approx(1 / 3)


def test_fpr95_needs_no_more_than_95_percent():
    """With 20 positives one may be missed: the threshold is the second lowest score."""
    positive = np.concatenate([[0.0], np.full(19, 0.5)])
    assert fpr95(operating(positive, np.array([0.1, 0.4]))) == 0
    assert fpr95(operating(positive[:19], np.array([0.1, 0.4]))) == 1


@pytest.mark.parametrize("positives", [1, 7, 60, 140, 1000])
def test_fpr95_against_the_roc_curve(positives):
    """FPR95 is the least FPR on scikit-learn's full ROC curve where the TPR is at least 95 %."""
    generator = np.random.default_rng(positives)
    positive, negative = (
        generator.normal(1, 1, positives).round(1),
        generator.normal(0, 1, 300).round(1),
    )
    labels = np.repeat([1, 0], [positives, 300])
    rates = roc_curve(labels, np.concatenate([positive, negative]), drop_intermediate=False)
    assert fpr95(operating(positive, negative)) == pytest.approx(
        rates[0][rates[1] >= 0.95 - 1e-12].min()
    )


def test_unseen_is_positive_and_higher_is_more_unseen(classified):
    """Flat predictions on unseen data are told from sharp clean ones by entropy and by confidence,
    not the reverse.
    """
    clean, unseen = classified(sharpness=8.0), classified(sharpness=0.1, seed=1)
    for score in ("entropy", "confidence"):
        assert CARDS[f"auroc_{score}"].compute(unseen, clean) > 0.99
        assert CARDS[f"auroc_{score}"].compute(clean, unseen) < 0.01
        assert CARDS[f"fpr95_{score}"].compute(unseen, clean) < 0.05


def test_each_score_against_scikit_learn(classified):
    """AUROC and AUPR by entropy, mutual information and 1 - max prob agree with scikit-learn on
    plain formulas.
    """
    clean, unseen = classified(count=300), classified(count=200, seed=1, sharpness=1.0)
    probs = np.concatenate([unseen["probs"], clean["probs"]]).astype(np.float64)
    entropy = -(probs * np.log(probs)).sum(axis=1)
    scores = {
        "entropy": entropy,
        "epistemic": entropy - np.concatenate([unseen["draw_entropy"], clean["draw_entropy"]]),
        "confidence": 1 - probs.max(axis=1),
    }
    labels = np.repeat([1, 0], [200, 300])

    for name, score in scores.items():
        assert CARDS[f"auroc_{name}"].compute(unseen, clean) == pytest.approx(
            roc_auc_score(labels, score)
        )
        assert CARDS[f"aupr_{name}"].compute(unseen, clean) == pytest.approx(
            average_precision_score(labels, score)
        )


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.id)
def test_equal_scores_are_chance(metric, classified):
    """Data against itself is chance: AUROC and AUPR one half where all scores are equal, FPR95 one."""
    flat = Predictions(
        {
            "probs": np.full((10, 4), 0.25, np.float32),
            "draw_entropy": np.zeros(10, np.float32),
            "ood_score": np.ones(10, np.float32),
        }
    )
    assert metric.compute(flat, flat) == (1.0 if metric.id.startswith("fpr95") else 0.5)
    one = flat.first(1)
    assert metric.compute(one, one) == (1.0 if metric.id.startswith("fpr95") else 0.5)


def test_detection_needs_clean_predictions(classified):
    """Without clean predictions a detection metric refuses by name."""
    with pytest.raises(ValueError, match="auroc_entropy needs clean"):
        CARDS["auroc_entropy"].compute(classified(), None)


def test_each_clean_side_has_operating_points_of_its_own():
    """What is kept of one comparison is not taken for another."""
    rng = np.random.default_rng(3)
    one, other, unseen = (
        Predictions({"probs": rng.dirichlet(np.full(4, share), 50).astype(np.float32)})
        for share in (0.2, 3, 0.8)
    )
    metric = CARDS["auroc_entropy"]
    found = [metric.compute(unseen, clean) for clean in (one, other, one)]
    assert found[0] == found[2] != found[1]
    assert metric.compute(unseen.first(40), one) != found[0]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_sure_predictions_are_ranked_by_what_they_leave(kind):
    """Doubts of 1e-12 to 1e-8, where every float32 confidence is 1, are ranked as scikit-learn
    ranks them.
    """
    doubts = 10.0 ** np.random.default_rng(0).uniform(-12, -8, 400)
    truth = np.repeat([1, 0], 200)
    doubts[:200] *= 10

    def stored(doubt: np.ndarray) -> Predictions:
        others = np.outer(doubt, [0.5, 0.3, 0.2])
        probs = np.concatenate([1 - doubt[:, None], others], 1)
        entropy = (others * np.log(1 / others)).sum(1) - (1 - doubt) * np.log1p(-doubt)
        arrays = {"probs": probs.astype(kind), "draw_entropy": entropy.astype(kind)}
        return Predictions(arrays | {"targets": np.zeros(200, int)})

    unseen, clean = stored(doubts[:200]), stored(doubts[200:])
    for name in ("auroc_confidence", "auroc_entropy"):
        found = CARDS[name].compute(unseen, clean)
        assert found == pytest.approx(roc_auc_score(truth, doubts), abs=1e-9)
    assert CARDS["fpr95_confidence"].compute(unseen, clean) == np.mean(
        doubts[200:] >= np.quantile(doubts[:200], 0.05, method="lower")
    )
    assert per_example.entropy(clean) == pytest.approx(clean["draw_entropy"], rel=1e-6)


def test_nearly_equal_draws_are_ranked_by_their_mutual_information():
    """Draws of float32 that leave 1e-9 to the other classes, and 1e-11 on clean data, are told apart;
    the entropies that are stored in float32 cannot.
    """
    rng = np.random.default_rng(0)
    doubts = 10.0 ** rng.uniform(-9, -8, (5, 200, 1))
    doubts[:, 100:] *= 0.01

    others = doubts * [0.5, 0.3, 0.2]
    draws = torch.from_numpy(np.concatenate([np.log1p(-doubts), np.log(others)], -1)).float()
    stored = {}
    for name, array in Categorical(4).mixture(draws, None).items():
        stored[name] = array.numpy()
    unseen = Predictions({name: array[:100] for name, array in stored.items()})
    clean = Predictions({name: array[100:] for name, array in stored.items()})
    assert CARDS["auroc_epistemic"].compute(unseen, clean) == 1

    older = ("probs", "draw_entropy")
    unseen = Predictions({name: unseen[name] for name in older})
    clean = Predictions({name: clean[name] for name in older})
    assert CARDS["auroc_epistemic"].compute(unseen, clean) == 0.5


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_probabilities_of_few_digits_keep_their_ties(kind):
    """0.7 is as sure beside 0.2 and 0.1 as beside 0.15 and 0.15, although the binary sums differ."""
    rows = [[0.7, 0.2, 0.1], [0.7, 0.15, 0.15], [0.7, 0.28, 0.02], [0.7, 0.3, 0.0]]
    doubts = per_example.doubt(Predictions({"probs": np.array(rows, kind)}))
    assert len(set(doubts)) == 1
    # As files bring them, through a logarithm.
    through = np.exp(np.log(np.array(rows[:3])))
    assert len(set(per_example.doubt(Predictions({"probs": through})))) == 1
