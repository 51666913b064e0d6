"""How well an uncertainty score separates stressed or OOD examples from clean ones.

Scores are entropy, mutual information, confidence, and the method's own where it has one; AUROC,
AUPR and FPR95 summarise each (Hendrycks & Gimpel 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from bench_uq.api import Axis, Direction, Metric, Places, Predictions
from bench_uq.metrics import _per_example as per_example


@dataclass(frozen=True)
class _Score:
    """A number per example that should be higher for OOD examples."""

    id: str
    of: Callable[[Predictions], np.ndarray]
    formula: str
    needs: tuple[str, ...]
    by: str
    by_note: str = ""
    rests_on: str = ""


@dataclass(frozen=True)
class _Summary:
    """A number in [0, 1] that compares the scores of positive and negative examples."""

    id: str
    title: str
    of: Callable[[Operating], float]
    direction: Direction
    formula: str
    reference: str
    margin: float | None = None


@dataclass(frozen=True)
class Operating:
    """Numbers of positives and negatives at or above each threshold, from none to all, (T,)."""

    true: np.ndarray
    false: np.ndarray


def operating(positive: np.ndarray, negative: np.ndarray) -> Operating:
    """Operating points of every distinct threshold, the highest first."""
    # Counted here: on a few hundred examples most of the time of scikit-learn's curves goes into
    # checks, and each score is computed once more without each group of examples.
    scores = np.concatenate([positive, negative])
    order = np.argsort(-scores, kind="stable")
    scores, is_positive = scores[order], order < len(positive)

    # Equal scores pass a threshold together.
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    true = np.cumsum(is_positive)[last]
    both = last + 1
    return Operating(np.append(0.0, true), np.append(0.0, both - true))


def auroc(points: Operating) -> float:
    """Area under the ROC curve: the chance that a positive scores higher, ties counting half."""
    # Half the sum of two neighbours, times the distance between them.
    heights = points.true[1:] + points.true[:-1]
    area = float((heights * np.diff(points.false)).sum()) / 2
    return area / float(points.false[-1] * points.true[-1])


def aupr(points: Operating) -> float:
    """Average precision; by chance it equals the share of positives."""
    # At the first point nothing is found, and precision would be 0 / 0.
    true, false = points.true[1:], points.false[1:]
    return float((np.diff(points.true) * true / (true + false)).sum() / true[-1])


def fpr95(points: Operating) -> float:
    """Share of negatives at or above the highest threshold that 95 % of the positives reach."""
    needed = -(-95 * points.true[-1] // 100)
    return float(points.false[np.searchsorted(points.true, needed)] / points.false[-1])


def _against_clean(
    summary: _Summary, score: _Score, predictions: Predictions, clean: Predictions | None
) -> float:
    """Summary of the scores of these predictions (positive) against clean ones (negative)."""
    if clean is None:
        raise ValueError(f"{summary.id}_{score.id} needs clean predictions to compare with")
    points = _operating(score.of, predictions, clean)
    return float("nan") if points is None else summary.of(points)


def _operating(
    score: Callable[[Predictions], np.ndarray], predictions: Predictions, clean: Predictions
) -> Operating | None:
    """Operating points against the clean predictions, computed once; None if a score is NaN."""
    # The three summaries of a score share its points, for which all examples are sorted.
    known: dict[Any, Any] = vars(predictions).setdefault("_against", {})
    before, points = known.get(score, (None, None))

    # By identity: to compare predictions by value would compare their arrays.
    if before is not clean:
        positive, negative = score(predictions), score(clean)
        # NaN has no place in an order.
        unknown = np.isnan(positive).any() or np.isnan(negative).any()
        points = None if unknown else operating(positive, negative)
        known[score] = clean, points
    return points


def _own(predictions: Predictions) -> np.ndarray:
    """The method's own OOD score, (N,)."""
    return np.asarray(predictions["ood_score"], np.float64)


_SCORES = (
    _Score("entropy", per_example.entropy, "predictive entropy", ("probs",), "entropy"),
    _Score(
        "epistemic",
        per_example.epistemic,
        "mutual information of label and draw",
        ("probs", "draw_entropy"),
        by="MI",
        by_note="MI: mutual information of label and draw; no value if draws do not differ.",
        rests_on="epistemic",
    ),
    _Score(
        "confidence",
        per_example.doubt,
        "1 - max_k p(k|x)",
        ("probs",),
        by="1 – max p",
        by_note="1 – max p: of the mean probabilities.",
    ),
    _Score(
        "own",
        _own,
        "the method's own OOD score",
        ("ood_score",),
        by="own",
        by_note="own: the method's own OOD score, such as a density; few methods have one.",
    ),
)

_SUMMARIES = (
    _Summary(
        "auroc",
        "area under the ROC curve",
        auroc,
        "higher",
        "P(score of a positive > score of a negative) + P(equal)/2; chance is 0.5",
        "Hendrycks & Gimpel 2017, arXiv:1610.02136",
        margin=0.1,
    ),
    _Summary(
        "aupr",
        "area under the precision-recall curve",
        aupr,
        "higher",
        "average precision, sum_i (recall_i - recall_{i-1}) precision_i; "
        "chance is the share of positives",
        "Hendrycks & Gimpel 2017, arXiv:1610.02136",
    ),
    _Summary(
        "fpr95",
        "false positive rate at 95 % true positive rate",
        fpr95,
        "lower",
        "share of negatives at or above the highest threshold that at least 95 % of the positives "
        "reach",
        "Liang et al. 2018 (ODIN), arXiv:1706.02690",
    ),
)


def _metric(summary: _Summary, score: _Score, **card: Any) -> Metric:
    """One of the metrics; ``card`` holds the fields that only this one has."""
    formula = f"{summary.formula}; score = {score.formula}"

    return Metric(
        id=f"{summary.id}_{score.id}",
        title=f"{summary.title} by {score.formula}",
        compute=partial(_against_clean, summary, score),
        direction=summary.direction,
        formula=formula,
        reference=summary.reference,
        needs=score.needs,
        against_clean=True,
        positive="stressed or OOD examples (negative: clean ones), by a high score",
        bounds=(0, 1),
        rests_on=score.rests_on,
        short=summary.id.upper(),
        by=score.by,
        by_note=score.by_note,
        order=4,
        margin=summary.margin,
        **card,
    )


_MAIN, *_OTHERS = product(_SUMMARIES, _SCORES)

METRICS = (
    # In overviews the first stands for all.
    _metric(
        *_MAIN,
        note="AUROC: for separating this data from clean test data by predictive entropy.",
        question="OOD detection",
        shown=Places(unseen=1, levels=8, level_tables=6, stress=4, overview=5),
        axis=Axis("AUROC against clean", chance="1/2"),
    ),
    *(_metric(summary, score) for summary, score in _OTHERS),
)
