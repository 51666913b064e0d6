"""The examples behind a score, those that a condition did not change, and an attack's draws."""

from __future__ import annotations

import numpy as np

from bench_uq.api import Metric, Predictions


def examples(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Number of examples that were shown."""
    return float(len(predictions))


def unmoved(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Share of examples whose input equals the clean one to the last digit."""
    # NaN does not equal 0, so that a broken input would count as moved.
    distance = predictions["distance"].astype(np.float64)
    return float(np.where(np.isnan(distance), np.nan, distance == 0).mean())


def attack_draws(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Mean number of draws behind one gradient of an attack."""
    return float(predictions["attack_draws"].mean())


METRICS = (
    Metric(
        # By this number the gate clips shares, and the checks of attacks judge noise.
        id="examples",
        title="number of examples",
        compute=examples,
        direction="none",
        formula="N; attacks and shifts may show the first clean ones (attack_images, shift_images)",
        reference="none",
        needs=(),
        order=8,
    ),
    Metric(
        id="unmoved",
        title="zero-gradient share: examples that an attack or shift did not change",
        compute=unmoved,
        direction="none",
        formula="mean_n 1[max_i |x'_ni - x_ni| = 0]; for FGSM at epsilon > 0 the share whose "
        "gradient is zero, or points out of [0, 1] in every pixel",
        reference="zero gradients are a sign of masking: Athalye et al. 2018, arXiv:1802.00420",
        needs=("distance",),
        bounds=(0, 1),
        short="Zero-gradient\nshare",
        order=8,
    ),
    Metric(
        id="attack_draws",
        title="draws behind one gradient of an attack",
        compute=attack_draws,
        direction="none",
        formula="mean_n S_n; fewer than asked for where a method has no more, such as one network",
        reference="few draws flatter methods that draw: Daubener & Fischer 2022, arXiv:2204.10839",
        needs=("attack_draws",),
        order=8,
    ),
)
