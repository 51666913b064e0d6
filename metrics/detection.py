"""How well an uncertainty score tells stressed or unseen examples from clean ones (Hendrycks & Gimpel 2017)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bench_uq.api import Direction, Metric, Predictions
from bench_uq.metrics import _per_example as per_example


@dataclass(frozen=True)
class _Score:
    """A number of each example that should be higher for unseen ones."""

    id: str
    of: Callable[[Predictions], np.ndarray]
    formula: str
    needs: tuple[str, ...]


@dataclass(frozen=True)
class _Summary:
    """A number in [0, 1] that says how far the scores of positive examples lie above those of negative ones."""

    id: str
    title: str
    of: Callable[[Operating], float]
    direction: Direction
    formula: str
    reference: str


@dataclass(frozen=True)
class Operating:
    """How many positives and negatives lie at or above each threshold, from none to all of them, (T,) each."""

    true: np.ndarray
    false: np.ndarray


def operating(positive: np.ndarray, negative: np.ndarray) -> Operating:
    """Return the operating points of every different threshold, the highest first; all summaries start from them."""
    from sklearn.metrics import roc_curve

    labels = np.repeat([1, 0], [len(positive), len(negative)])
    false, true, _ = roc_curve(
        labels, np.concatenate([positive, negative]), drop_intermediate=False
    )
    return Operating(np.rint(true * len(positive)), np.rint(false * len(negative)))


def auroc(points: Operating) -> float:
    """Return the area under the ROC curve: the chance that a positive scores higher, ties counting half."""
    from sklearn.metrics import auc

    return float(auc(points.false, points.true) / (points.false[-1] * points.true[-1]))


def aupr(points: Operating) -> float:
    """Return the average precision; by chance it is the share of positives."""
    true, false = points.true[1:], points.false[1:]
    return float((np.diff(points.true) * true / (true + false)).sum() / true[-1])


def fpr95(points: Operating) -> float:
    """Return the share of negatives at or above the highest threshold that 95 % of the positives reach."""
    needed = -(-95 * points.true[-1] // 100)
    return float(points.false[np.searchsorted(points.true, needed)] / points.false[-1])


def _against_clean(
    summary: _Summary, score: _Score, predictions: Predictions, clean: Predictions | None
) -> float:
    """Return the summary of the scores of these predictions (positive) against the clean ones (negative)."""
    if clean is None:
        raise ValueError(f"{summary.id}_{score.id} needs clean predictions to compare with")
    points = _operating(score.of, predictions, clean)
    return float("nan") if points is None else summary.of(points)


def _operating(
    score: Callable[[Predictions], np.ndarray], predictions: Predictions, clean: Predictions
) -> Operating | None:
    """Return the operating points of a score against the clean predictions, computed once; None where it is NaN."""
    known: dict[Any, Any] = vars(predictions).setdefault("_against", {})
    before, points = known.get(score, (None, None))
    if before is not clean:
        positive, negative = score(predictions), score(clean)
        unknown = np.isnan(positive).any() or np.isnan(negative).any()
        points = None if unknown else operating(positive, negative)
        known[score] = clean, points
    return points


def _doubt(predictions: Predictions) -> np.ndarray:
    """Return how far the highest probability is from 1."""
    return 1 - per_example.confidence(predictions)


_SCORES = (
    _Score("entropy", per_example.entropy, "predictive entropy", ("probs",)),
    _Score(
        "epistemic",
        per_example.epistemic,
        "mutual information of label and draw",
        ("probs", "draw_entropy"),
    ),
    _Score("confidence", _doubt, "1 - max_k p(k|x)", ("probs",)),
)

_SUMMARIES = (
    _Summary(
        "auroc",
        "area under the ROC curve",
        auroc,
        "higher",
        "P(score of a positive > score of a negative) + P(equal)/2; chance is 0.5",
        "Hendrycks & Gimpel 2017, arXiv:1610.02136",
    ),
    _Summary(
        "aupr",
        "area under the precision-recall curve",
        aupr,
        "higher",
        "average precision, sum_i (recall_i - recall_{i-1}) precision_i; chance is the share of positives",
        "Hendrycks & Gimpel 2017, arXiv:1610.02136",
    ),
    _Summary(
        "fpr95",
        "false positive rate at 95 % true positive rate",
        fpr95,
        "lower",
        "share of negatives at or above the highest threshold that at least 95 % of the positives reach",
        "Liang et al. 2018 (ODIN), arXiv:1706.02690",
    ),
)

METRICS = tuple(
    Metric(
        id=f"{summary.id}_{score.id}",
        title=f"{summary.title} by {score.formula}",
        compute=partial(_against_clean, summary, score),
        direction=summary.direction,
        formula=f"{summary.formula}; score = {score.formula}",
        reference=summary.reference,
        needs=score.needs,
        against_clean=True,
        positive="stressed or unseen examples (negative: clean ones); a higher score says more unseen",
    )
    for summary in _SUMMARIES
    for score in _SCORES
)
