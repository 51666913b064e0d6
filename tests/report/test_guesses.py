"""Runs that predict worse than a guess that sees no input, by hand and by SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from bench_uq.api.task import Predictions
from bench_uq.score.analysis import analyse
from bench_uq.score.guesses import worse_than_a_guess
from bench_uq.score.results import Results
from bench_uq.score.run_scores import hashes_of
from bench_uq.score.verdict import verdict

ByHand = Callable[..., Results]
#: The curve by which results know that there are ten classes.
ECDF = {("map", 0, "entropy_ecdf"): {0.0: 0.5, round(math.log(10), 6): 1.0}}
SAID = "A guess that sees no input has a lower NLL than"


def test_classes(by_hand: ByHand) -> None:
    """Of ten classes a guess has an NLL of ln 10; only seeds above it are counted."""
    above, below = math.log(10) + 0.001, math.log(10) - 0.001
    scores = {("map", "nll"): [0.1, below, 0.1], ("mnf", "nll"): [above, 0.1, 9.0]}
    scores["map", "nll", "fgsm", 0.1] = [9.0, 9.0, 9.0]
    analysis = analyse(by_hand(scores, ECDF))
    assert worse_than_a_guess(analysis, "nll") == {"mnf": (2, 3)}
    assert f"{SAID} mnf in 2 of 3 seeds: networks that are too sure" in str(verdict(analysis))

    fine = {("map", "nll"): [0.1, below], ("mnf", "nll"): [0.1, 0.2]}
    assert SAID not in str(verdict(analyse(by_hand(fine, ECDF))))


def test_real_targets(by_hand: ByHand) -> None:
    """The guess is the normal distribution of the targets, which each split has its own of."""
    rng = np.random.default_rng(0)
    nll, rmse, runs = list[float](), list[float](), list[dict[str, Any]]()
    for seed, scale in enumerate((0.01, 1.0, 300.0)):
        targets = rng.normal(scale, scale, 40)
        clean = Predictions({"mean": targets, "targets": targets})
        runs.append({"method": "mnf", "seed": seed, "labels": hashes_of(clean)["labels"]})
        guess = -norm.logpdf(targets, targets.mean(), targets.std()).mean()
        nll.append(guess + (0.02 if seed < 2 else -0.02))
        rmse.append(targets.std() * (1.02 if seed < 1 else 0.98))

    analysis = analyse(by_hand({("mnf", "nll"): nll, ("mnf", "rmse"): rmse}, runs=runs))
    assert worse_than_a_guess(analysis, "nll") == {"mnf": (2, 3)}
    assert worse_than_a_guess(analysis, "rmse") == {"mnf": (1, 3)}
    assert "a lower RMSE than mnf in 1 of 3 seeds: their training, or" in str(verdict(analysis))


@pytest.mark.parametrize("labels", ["", "21fa031d", "mean 1.00 sd"])
def test_nothing_is_known(labels: str, by_hand: ByHand) -> None:
    """Without the number of classes and the spread of targets nothing is said."""
    runs = [{"method": "map", "seed": 0, "labels": labels}]
    scores = {("map", "nll"): [99.0], ("map", "rmse"): [99.0]}
    analysis = analyse(by_hand(scores, runs=runs))
    assert worse_than_a_guess(analysis, "nll") == {}
    assert worse_than_a_guess(analysis, "rmse") == {}
