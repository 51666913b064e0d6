"""Conformal prediction sets: how often they contain the target, and how large they are.

Nothing is trained. Held-out predictions calibrate a threshold; under an attack or shift it stays
the same, so that coverage shows what breaks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bench_uq.api import Axis, Metric, Places, Predictions
from bench_uq.metrics import _conformal as conformal

#: 1 for each class (N, C) that is in the set of an example, else 0.
Sets = Callable[[Predictions, Predictions], np.ndarray]


def lac_sets(predictions: Predictions, held_out: Predictions) -> np.ndarray:
    """Sets of the smallest size on average, by one threshold on the probability."""
    return conformal.included(conformal.lac(predictions), conformal.lac_threshold(held_out))


def aps_sets(predictions: Predictions, held_out: Predictions) -> np.ndarray:
    """Adaptive sets: the most probable classes up to a mass."""
    scores = conformal.aps(predictions, conformal.SHOWN)
    return conformal.included(scores, conformal.aps_threshold(held_out))


def raps_sets(predictions: Predictions, held_out: Predictions) -> np.ndarray:
    """Regularised adaptive sets."""
    scores = conformal.raps(predictions, conformal.SHOWN)
    return conformal.included(scores, conformal.raps_threshold(held_out))


def mondrian_sets(predictions: Predictions, held_out: Predictions) -> np.ndarray:
    """Sets by a threshold for each class."""
    return conformal.included(conformal.lac(predictions), conformal.class_thresholds(held_out))


def coverage(sets: Sets) -> Callable[[Predictions, Predictions | None], float]:
    """Function for the share of sets that contain the target."""

    def compute(predictions: Predictions, held_out: Predictions | None) -> float:
        return float(_hits(sets, predictions, held_out).mean())

    return compute


def set_size(sets: Sets) -> Callable[[Predictions, Predictions | None], float]:
    """Function for the mean number of classes in a set."""

    def compute(predictions: Predictions, held_out: Predictions | None) -> float:
        assert held_out is not None
        # Empty sets count as 0: where a method is sure of nothing, that shows.
        return float(sets(predictions, held_out).sum(axis=1).mean())

    return compute


def worst_coverage(sets: Sets) -> Callable[[Predictions, Predictions | None], float]:
    """Function for the lowest coverage of the examples of one class."""

    def compute(predictions: Predictions, held_out: Predictions | None) -> float:
        hits, targets = _hits(sets, predictions, held_out), predictions["targets"]
        # min of an array hands NaN on.
        return float(np.array([hits[targets == k].mean() for k in np.unique(targets)]).min())

    return compute


def _hits(sets: Sets, predictions: Predictions, held_out: Predictions | None) -> np.ndarray:
    """1 for each example (N,) whose set contains the target, else 0."""
    assert held_out is not None
    return conformal.of_targets(sets(predictions, held_out), predictions["targets"])


def interval_coverage(predictions: Predictions, held_out: Predictions | None) -> float:
    """Share of the targets in the widened intervals."""
    assert held_out is not None
    # An example is inside where its excess is at most the widening.
    inside = conformal.included(conformal.excess(predictions), conformal.widening(held_out))
    return float(inside.mean())


def interval_width(predictions: Predictions, held_out: Predictions | None) -> float:
    """Mean width of the widened intervals; one that is narrowed to nothing has none."""
    assert held_out is not None
    low, high = conformal.interval(predictions)
    return float(np.maximum(high - low + 2 * conformal.widening(held_out), 0).mean())


_LEVEL = f"{conformal.LEVEL} %"
_RANK = f"ceil({conformal.LEVEL / 100} (n + 1))-th smallest"
_FEW = "without a threshold (fewer than 9 held-out examples) every set holds all classes"


def _cards(
    ending: str, sets: Sets, name: str, formula: str, reference: str
) -> tuple[Metric, Metric, Metric]:
    """The cards of one kind of sets: coverage, size, and coverage of the worst class."""
    what = f"{_LEVEL} conformal sets"
    covered = Metric(
        id=f"coverage{ending}",
        title=f"coverage of {what}, {name}",
        compute=coverage(sets),
        # A coverage above the level is as far from it as one below.
        direction="none",
        formula=f"share of y in S; {formula}; best at {conformal.LEVEL / 100}",
        reference=reference,
        needs=("probs", "targets"),
        against_held_out=True,
        bounds=(0, 1),
        order=8,
    )
    size = Metric(
        id=f"set_size{ending}",
        title=f"mean size of {what}, {name}",
        compute=set_size(sets),
        # A small set is worth something only if it covers as much: under an attack it does not.
        direction="none",
        formula=f"mean number of classes in S; {formula}; smaller is better at equal "
        f"coverage{ending} alone",
        reference=reference,
        needs=("probs",),
        against_held_out=True,
        order=8,
    )
    worst = Metric(
        id=f"coverage_worst_class{ending}",
        # A marginal guarantee may hide a class that is hardly ever covered.
        title=f"coverage of {what} in the worst class, {name}",
        compute=worst_coverage(sets),
        # Larger sets cover more of every class.
        direction="none",
        formula=f"min over classes k of the share of the examples of k with k in S; {formula}; "
        f"higher is better at equal set_size{ending} alone; of few examples a class the minimum "
        "is low by chance",
        reference=reference,
        needs=("probs", "targets"),
        against_held_out=True,
        bounds=(0, 1),
        order=8,
    )
    return covered, size, worst


_COVERED, _SIZE, _WORST = _cards(
    "",
    lac_sets,
    "LAC",
    f"S = {{k: 1 - p(k|x) <= q}}, q the {_RANK} 1 - p(y_i|x_i) of n held-out examples; {_FEW}",
    "Sadinle et al. 2019, arXiv:1609.00451",
)
_APS = _cards(
    "_aps",
    aps_sets,
    "APS",
    "S = {k: s(x, k) <= q}, s the mass of all classes that are more probable than k, and u times "
    f"that of k, u ~ U(0, 1), fixed seed; q the {_RANK} s(x_i, y_i) of n held-out examples; "
    f"{_FEW}; sets may be empty",
    "Romano et al. 2020, arXiv:2006.02544",
)
_RAPS = _cards(
    "_raps",
    raps_sets,
    "RAPS",
    f"S as of APS, with {conformal.PENALTY} added to s for each rank of k beyond "
    f"{conformal.FREE_CLASSES}; unlike in the paper, both numbers are fixed and not tuned; {_FEW}",
    "Angelopoulos et al. 2021, arXiv:2009.14193",
)
_MONDRIAN = _cards(
    "_mondrian",
    mondrian_sets,
    "LAC by class (Mondrian)",
    f"S = {{k: 1 - p(k|x) <= q_k}}, q_k the {_RANK} 1 - p(k|x_i) of the n held-out examples of "
    "class k; a class with fewer than 9 of them has no threshold and is in every set",
    "Vovk 2012, arXiv:1209.2673; Sadinle et al. 2019, arXiv:1609.00451",
)
_WIDENED = (
    f"I = [q_0.05(x) - t, q_0.95(x) + t], quantiles of the mixture, t the {_RANK} "
    "max(q_0.05(x_i) - y_i, y_i - q_0.95(x_i)) of n held-out examples; infinite if n is below 9"
)
_CQR = "Romano et al. 2019, arXiv:1905.03222"

METRICS = (
    replace(
        _COVERED,
        short="Coverage",
        note=f"Coverage: of conformal sets, calibrated to {_LEVEL} on held-out examples.",
        shown=Places(clean=11, levels=20, level_tables=5),
        axis=Axis(f"coverage of {_LEVEL} sets"),
    ),
    replace(
        _SIZE,
        short="Set\nsize",
        note="Set size: classes in a conformal set; smaller is better at equal coverage alone.",
        shown=Places(clean=12, level_tables=6),
    ),
    _WORST,
    *_APS,
    *_RAPS,
    *_MONDRIAN,
    Metric(
        id="conformal_coverage",
        title=f"coverage of {_LEVEL} conformal intervals, CQR",
        compute=interval_coverage,
        direction="none",
        formula=f"share of y in I; {_WIDENED}; best at {conformal.LEVEL / 100}",
        reference=_CQR,
        needs=("quantiles", "targets"),
        against_held_out=True,
        bounds=(0, 1),
        short="Conformal\ncoverage",
        order=8,
        shown=Places(clean=11, levels=20),
        axis=Axis(f"coverage of {_LEVEL} intervals"),
    ),
    Metric(
        id="conformal_width",
        title=f"mean width of {_LEVEL} conformal intervals, CQR",
        compute=interval_width,
        direction="none",
        formula=f"mean width of I in units of the targets; {_WIDENED}; narrower is better at equal "
        "conformal_coverage alone",
        reference=_CQR,
        needs=("quantiles",),
        against_held_out=True,
        undefined="infinite with fewer than 9 held-out examples",
        short="Conformal\nwidth",
        order=8,
        shown=Places(clean=12),
    ),
)
