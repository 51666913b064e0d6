"""Scores whose expectation is best if the true distribution is predicted, and accuracy."""

from __future__ import annotations

import math

import numpy as np

from bench_uq.api import Axis, Metric, Places, Predictions
from bench_uq.metrics import _per_example as per_example
from bench_uq.metrics import _temperature as temperature


def accuracy(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Share of examples whose most probable class is the target."""
    return float(per_example.correct(predictions).mean())


def nll(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Mean negative log predictive density of the targets, in nats."""
    # A sum in float32 would lose digits with the number of examples.
    return float(-predictions["log_density"].mean(dtype=np.float64))


def calibrated_nll(predictions: Predictions, held_out: Predictions | None) -> float:
    """Mean NLL in nats after one temperature, fitted to held-out predictions (Ashukha 2020)."""
    assert held_out is not None
    chosen = temperature.log_temperature(held_out)
    log_probs = temperature.log_probs(predictions)
    return temperature.scaled_nll(log_probs, predictions["targets"], chosen)


def brier(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Mean squared distance of the probabilities to the one-hot target, summed over classes."""
    # A copy: predictions must stay as they are stored.
    gaps = predictions["probs"].astype(np.float64)
    gaps[np.arange(len(gaps)), predictions["targets"]] -= 1
    return float(np.square(gaps).sum(axis=1).mean())


METRICS = (
    Metric(
        id="accuracy",
        title="accuracy",
        compute=accuracy,
        direction="higher",
        formula="mean_n 1[argmax_k p(k|x_n) = y_n], the first class of equals",
        reference="the zero-one score of Gneiting & Raftery 2007, doi:10.1198/016214506000001437",
        needs=("probs", "targets"),
        bounds=(0, 1),
        question="accuracy",
        short="Accuracy",
        order=1,
        shown=Places(
            clean=1,
            levels=1,
            level_tables=1,
            stress=1,
            ranks=1,
            rank_figure=2,
            cost_figure=2,
            strongest=1,
            kinds=1,
            overview=1,
        ),
        axis=Axis("accuracy", chance="1/C"),
        margin=0.25,
        tolerance=0.01,
    ),
    Metric(
        id="nll",
        title="negative log-likelihood",
        compute=nll,
        direction="lower",
        formula="-mean_n log mean_s p(y_n|x_n, draw s), in nats: log of the mean, not mean of logs",
        reference="Gneiting & Raftery 2007, doi:10.1198/016214506000001437",
        needs=("log_density",),
        bounds=(-math.inf, math.inf),
        question="probabilities",
        short="NLL",
        order=1,
        shown=Places(
            clean=3,
            levels=3,
            level_tables=2,
            ranks=3,
            rank_figure=1,
            cost_figure=1,
            strongest=2,
            overview=2,
        ),
        axis=Axis("NLL (nats)", form="log"),
        margin=0.1,
        tolerance=0.02,
        # The density of real targets has no natural zero: its margin is in nats.
        real_scale="plain",
    ),
    Metric(
        id="calibrated_nll",
        title="negative log-likelihood after temperature scaling",
        compute=calibrated_nll,
        direction="lower",
        formula="-mean_n log softmax(log p(.|x_n) / T)[y_n], in nats, p the mean over draws; T of "
        "the lowest NLL of held-out examples, which unlike in the paper are none of the test, and "
        f"with the prior log T ~ N(0, {temperature.SPREAD:g})",
        reference="Ashukha et al. 2020, arXiv:2002.06470",
        needs=("probs", "targets", "log_density"),
        against_held_out=True,
        bounds=(0, math.inf),
        short="Calibrated\nNLL",
        order=1,
        shown=Places(page=1),
    ),
    Metric(
        # As Brier 1950 defined it; the score of two classes is often halved to [0, 1].
        id="brier",
        title="Brier score",
        compute=brier,
        direction="lower",
        formula="mean_n sum_k (p(k|x_n) - 1[y_n = k])^2, in [0, 2]: summed over classes",
        reference="Brier 1950, Monthly Weather Review 78(1)",
        needs=("probs", "targets"),
        bounds=(0, 2),
        short="Brier",
        order=1,
        shown=Places(clean=4, ranks=4),
        margin=0.1,
    ),
)
