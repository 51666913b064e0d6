"""Whether predictions are less sure where they are wrong (Hendrycks & Gimpel 2017)."""

from __future__ import annotations

from functools import partial

import numpy as np

from bench_uq.api import Metric, Predictions
from bench_uq.metrics import _per_example as per_example
from bench_uq.metrics.detection import auroc, operating


def entropy_where(
    right: bool, predictions: Predictions, _clean: Predictions | None = None
) -> float:
    """Return the mean predictive entropy of the right or of the wrong predictions; NaN where there are none."""
    correct = per_example.correct(predictions)
    chosen = correct if right else 1 - correct
    count = chosen.sum()
    return (
        float((chosen * per_example.entropy(predictions)).sum() / count)
        if count != 0
        else float("nan")
    )


def auroc_errors(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Return the chance that a wrong prediction has more entropy than a right one; NaN where all are right or wrong."""
    correct, entropy = per_example.correct(predictions), per_example.entropy(predictions)
    if np.isnan(correct).any() or not 0 < correct.sum() < len(correct):
        return float("nan")
    return auroc(operating(entropy[correct == 0], entropy[correct == 1]))


METRICS = (
    *(
        Metric(
            id=f"entropy_{name}",
            title=f"predictive entropy of the {name} predictions",
            compute=partial(entropy_where, right),
            direction="none",
            formula=f"mean of H[p(.|x_n)] over the n with argmax_k p(k|x_n) {sign} y_n, in nats; none where no n has",
            reference="Hendrycks & Gimpel 2017, arXiv:1610.02136",
            needs=("probs", "targets"),
        )
        for name, right, sign in (("right", True, "="), ("wrong", False, "!="))
    ),
    Metric(
        id="auroc_errors_entropy",
        title="area under the ROC curve of errors by predictive entropy",
        compute=auroc_errors,
        direction="higher",
        formula="P(entropy of a wrong prediction > that of a right one) + P(equal)/2; chance is 0.5; "
        "none where all are right or all wrong",
        reference="Hendrycks & Gimpel 2017, arXiv:1610.02136",
        needs=("probs", "targets"),
        positive="wrong predictions (negative: right ones of the same condition); a higher entropy says more wrong",
    ),
)
