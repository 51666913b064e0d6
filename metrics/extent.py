"""How many examples a score rests on, and how many of them a condition left as they were."""

from __future__ import annotations

import numpy as np

from bench_uq.api import Metric, Predictions


def examples(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Return the number of examples that were shown."""
    return float(len(predictions))


def unmoved(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Return the share of examples whose input is the clean one to the last digit."""
    distance = predictions["distance"].astype(np.float64)
    return float(np.where(np.isnan(distance), np.nan, distance == 0).mean())


METRICS = (
    Metric(
        id="examples",
        title="number of examples",
        compute=examples,
        direction="none",
        formula="N; of attacks and shifts perhaps the first so many clean ones (attack_images, shift_images)",
        reference="none",
        needs=(),
    ),
    Metric(
        id="unmoved",
        title="share of examples that an attack or shift left as they were",
        compute=unmoved,
        direction="none",
        formula="mean_n 1[max_i |x'_ni - x_ni| = 0]; under FGSM at epsilon > 0 the share whose gradient is zero, or "
        "points out of [0, 1] in every pixel",
        reference="zero gradients as a sign of masked ones: Athalye et al. 2018, arXiv:1802.00420",
        needs=("distance",),
    ),
)
