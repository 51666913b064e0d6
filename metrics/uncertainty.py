"""How unsure the predictions are, in nats: total = aleatoric + epistemic (Depeweg 2018)."""

from __future__ import annotations

import numpy as np

from bench_uq.api import Axis, Metric, Places, Predictions
from bench_uq.metrics import _per_example as per_example


def entropy(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Mean entropy of the mean probabilities."""
    return float(per_example.entropy(predictions).mean())


def aleatoric(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Mean over examples and draws of the entropy of a draw."""
    # A sum in float32 would lose digits with the number of examples.
    return float(predictions["draw_entropy"].mean(dtype=np.float64))


def epistemic(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Mean mutual information of label and draw."""
    return float(per_example.epistemic(predictions).mean())


_REFERENCE = "Houlsby et al. 2011, arXiv:1112.5745; Depeweg et al. 2018, arXiv:1710.07283"

METRICS = (
    Metric(
        id="entropy",
        title="predictive entropy",
        compute=entropy,
        direction="none",
        formula="mean_n H[mean_s p(.|x_n, draw s)], H[p] = -sum_k p_k log p_k, in nats, <= log C",
        reference=_REFERENCE,
        needs=("probs",),
        short="Mean entropy",
        order=3,
        shown=Places(page=1, levels=6, level_tables=5),
        axis=Axis("mean entropy (nats)", chance="ln C"),
        # Neither way is better, so the gate takes a change in either as one for the worse.
        margin=0.1,
    ),
    Metric(
        id="aleatoric",
        title="aleatoric uncertainty",
        compute=aleatoric,
        direction="none",
        formula="mean_n mean_s H[p(.|x_n, draw s)], in nats",
        reference=_REFERENCE,
        needs=("draw_entropy",),
        order=3,
    ),
    Metric(
        id="epistemic",
        title="epistemic uncertainty (mutual information)",
        compute=epistemic,
        direction="none",
        formula="mean_n (H[mean_s p] - mean_s H[p]) = mean_n mean_s KL(p_s || mean_s p), in nats",
        reference=_REFERENCE,
        needs=("probs", "draw_entropy"),
        short="Mutual\ninformation",
        order=3,
        shown=Places(levels=7),
        axis=Axis("mutual information (nats)", form="from zero"),
        margin=0.1,
    ),
)
