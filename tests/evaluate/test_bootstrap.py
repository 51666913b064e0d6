"""Scores of attacked and unseen data, and their intervals, are scikit-learn's on the same draws."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

import bench_uq
from bench_uq.evaluate.scores import Scores

RESAMPLES, SEED = 40, 5


@pytest.fixture(scope="module")
def scores() -> Scores:
    """Scores of an untrained network on clean, attacked and unseen data."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    return bench_uq.evaluate(
        net,
        "digits",
        conditions={"fgsm": [0.2], "letters": []},
        attack_images=100,
        resamples=RESAMPLES,
        seed=SEED,
        device="cpu",
    )


def entropies(scores: Scores, condition: str) -> np.ndarray:
    """Predictive entropy (N,) of the examples of a condition.

    In float64: rounding in float32 makes ties that differ between kinds of processor.
    """
    (shown,) = (one for one in scores.shown if one.condition == condition)
    probs = shown.predictions["probs"].astype(np.float64)
    return -(probs * np.log(probs)).sum(1)


def paired(size: int, _: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """An attacked example is drawn together with the clean one that it was made from."""
    random = np.random.default_rng(SEED)
    for _ in range(RESAMPLES):
        drawn = random.integers(size, size=size)
        yield drawn, drawn


def apart(size: int, other: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Unseen and clean examples are drawn independently."""
    random = np.random.default_rng(SEED)
    for _ in range(RESAMPLES):
        yield random.integers(size, size=size), random.integers(other, size=other)


@pytest.mark.parametrize(
    ("condition", "level", "draws"), [("fgsm", 0.2, paired), ("letters", None, apart)]
)
def test_auroc_and_its_interval_are_those_of_scikit_learn(
    scores: Scores, condition: str, level: float | None, draws
) -> None:
    """The value is roc_auc_score's, its interval 1.96 standard deviations over the same draws."""
    stressed, clean = entropies(scores, condition), entropies(scores, "clean")
    if condition == "fgsm":
        # Only the first images are attacked, and compared with the same images.
        clean = clean[:100]
        assert len(stressed) == 100

    def auroc(drawn: np.ndarray, others: np.ndarray) -> float:
        truth = np.repeat([1, 0], [len(drawn), len(others)])
        return roc_auc_score(truth, np.concatenate([stressed[drawn], clean[others]]))

    every = np.arange(len(stressed)), np.arange(len(clean))
    found = scores.at("auroc_entropy", condition, level)
    assert found.value == pytest.approx(auroc(*every), rel=1e-9)

    replicates = [auroc(*pair) for pair in draws(len(stressed), len(clean))]
    reach = 1.959964 * np.std(replicates, ddof=1)
    assert reach > 0.005
    assert found.low == pytest.approx(found.value - reach, rel=1e-6)
    assert found.high == pytest.approx(found.value + reach, rel=1e-6)
