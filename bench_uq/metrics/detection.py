"""How well an uncertainty score tells stressed or unseen examples from clean ones (Hendrycks & Gimpel 2017)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench_uq.contracts import Predictions
from bench_uq.metrics import per_example
from bench_uq.metrics.metric import Direction, Metric


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
    of: Callable[[np.ndarray, np.ndarray], float]  # scores of (positive, negative) examples
    direction: Direction
    formula: str
    reference: str


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return the area under the ROC curve: the chance that a positive scores higher, ties counting half."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(*_labelled(positive, negative)))


def aupr(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return the average precision; by chance it is the share of positives."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(*_labelled(positive, negative)))


def fpr95(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return the share of negatives at or above the highest threshold that 95 % of the positives reach."""
    needed = -(-95 * len(positive) // 100)
    threshold = np.sort(positive)[-needed]
    return float((negative >= threshold).mean())


def _labelled(positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (1 for positive) and scores."""
    return np.repeat([1, 0], [len(positive), len(negative)]), np.concatenate([positive, negative])


def _against_clean(summary: _Summary, score: _Score, predictions: Predictions, clean: Predictions | None) -> float:
    """Return the summary of the scores of these predictions (positive) against the clean ones (negative)."""
    if clean is None:
        raise ValueError(f"{summary.id}_{score.id} needs clean predictions to compare with")
    positive, negative = score.of(predictions), score.of(clean)
    if np.isnan(positive).any() or np.isnan(negative).any():
        return float("nan")
    return summary.of(positive, negative)


_SCORES = (
    _Score("entropy", per_example.entropy, "predictive entropy", ("probs",)),
    _Score("epistemic", per_example.epistemic, "mutual information of label and draw", ("probs", "draw_entropy")),
    _Score("confidence", lambda predictions: 1 - per_example.confidence(predictions), "1 - max_k p(k|x)", ("probs",)),
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
