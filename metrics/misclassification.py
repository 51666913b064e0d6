"""Whether predictions are less sure if they are wrong (Hendrycks & Gimpel 2017)."""

from __future__ import annotations

from functools import partial

import numpy as np

from bench_uq.api import Axis, Metric, Places, Predictions
from bench_uq.metrics import _per_example as per_example
from bench_uq.metrics.detection import auroc, operating


def entropy_where(
    right: bool, predictions: Predictions, _clean: Predictions | None = None
) -> float:
    """Mean predictive entropy of the right or the wrong predictions; NaN if there are none."""
    # Products in place of a mask: a prediction with NaN is neither right nor wrong, and stays NaN.
    correct = per_example.correct(predictions)
    chosen = correct if right else 1 - correct
    count = chosen.sum()
    if count == 0:
        return float("nan")
    return float((chosen * per_example.entropy(predictions)).sum() / count)


def auroc_errors(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Chance that a wrong prediction has more entropy than a right one.

    NaN if all predictions are right, or all wrong.
    """
    correct, entropy = per_example.correct(predictions), per_example.entropy(predictions)
    if np.isnan(correct).any() or not 0 < correct.sum() < len(correct):
        return float("nan")
    return auroc(operating(entropy[correct == 0], entropy[correct == 1]))


_REFERENCE = "Hendrycks & Gimpel 2017, arXiv:1610.02136"
_FORMULA = "mean of H[p(.|x_n)] over the n with argmax_k p(k|x_n) {} y_n, in nats; none without"

METRICS = (
    Metric(
        id="entropy_right",
        title="predictive entropy of the right predictions",
        compute=partial(entropy_where, True),
        direction="none",
        formula=_FORMULA.format("="),
        reference=_REFERENCE,
        needs=("probs", "targets"),
        undefined="no prediction is right",
        short="Mean entropy\nof right ones",
        order=5,
    ),
    Metric(
        id="entropy_wrong",
        title="predictive entropy of the wrong predictions",
        compute=partial(entropy_where, False),
        direction="none",
        formula=_FORMULA.format("!="),
        reference=_REFERENCE,
        needs=("probs", "targets"),
        undefined="no prediction is wrong",
        short="Mean entropy\nof errors",
        order=5,
        shown=Places(levels=11),
        axis=Axis("mean entropy of errors (nats)", chance="ln C"),
    ),
    Metric(
        id="auroc_errors_entropy",
        title="area under the ROC curve of errors by predictive entropy",
        compute=auroc_errors,
        direction="higher",
        formula="P(entropy of a wrong prediction > that of a right one) + P(equal)/2; "
        "chance is 0.5; none if all are right or all wrong",
        reference=_REFERENCE,
        needs=("probs", "targets"),
        positive="wrong predictions (negative: right ones of the same condition), by high entropy",
        bounds=(0, 1),
        undefined="all predictions are right, or all wrong",
        short="AUROC\nof errors",
        note="AUROC of errors: for separating wrong from right predictions by predictive "
        "entropy; chance is 0.5.",
        order=5,
        shown=Places(levels=10, stress=3),
        axis=Axis("AUROC of errors", chance="1/2"),
    ),
)
