"""How unsure the predictions are, in nats: total = aleatoric + epistemic (Depeweg 2018)."""

from __future__ import annotations

import numpy as np

from bench_uq.api import Metric, Predictions
from bench_uq.metrics import _per_example as per_example


def entropy(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Return the mean entropy of the mean probabilities."""
    return float(per_example.entropy(predictions).mean())


def aleatoric(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Return the mean over examples and draws of the entropy of a draw."""
    return float(predictions["draw_entropy"].mean(dtype=np.float64))


def epistemic(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Return the mean mutual information of label and draw."""
    return float(per_example.epistemic(predictions).mean())


_REFERENCE = "Houlsby et al. 2011, arXiv:1112.5745; Depeweg et al. 2018, arXiv:1710.07283"

METRICS = (
    Metric(
        id="entropy",
        title="predictive entropy",
        compute=entropy,
        direction="none",
        formula="mean_n H[mean_s p(.|x_n, draw s)], H[p] = -sum_k p_k log p_k, in nats, at most log C",
        reference=_REFERENCE,
        needs=("probs",),
    ),
    Metric(
        id="aleatoric",
        title="aleatoric uncertainty",
        compute=aleatoric,
        direction="none",
        formula="mean_n mean_s H[p(.|x_n, draw s)], in nats",
        reference=_REFERENCE,
        needs=("draw_entropy",),
    ),
    Metric(
        id="epistemic",
        title="epistemic uncertainty (mutual information)",
        compute=epistemic,
        direction="none",
        formula="mean_n max(0, H[mean_s p] - mean_s H[p]), in nats; 0 where float32 cannot tell it from 0",
        reference=_REFERENCE,
        needs=("probs", "draw_entropy"),
    ),
)
