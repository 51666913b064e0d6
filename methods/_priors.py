"""Standard deviations of normal priors over the weights, for the methods that have one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

#: One standard deviation for all weights, or ``he``: sqrt(2 / inputs) for those of each layer.
PriorStd = float | Literal["he"]


def std_of(prior_std: PriorStd, shape: Sequence[int]) -> float:
    """Standard deviation of the prior of one array of weights, of which axis 0 counts the outputs.

    ``he`` keeps the variance of activations from layer to layer (He et al. 2015, eq. 10), as the
    start of training does, whatever the width. Arrays of one axis (biases, normalisations) then
    have 1.
    """
    if prior_std != "he":
        return prior_std
    return math.sqrt(2 / math.prod(shape[1:])) if len(shape) > 1 else 1.0


def check_prior(prior_std: PriorStd) -> None:
    """Require a standard deviation whose squares are finite."""
    if prior_std != "he" and not 1e-6 <= prior_std <= 1e6:
        raise ValueError(f"prior_std must be in [1e-6, 1e6] or he, not {prior_std}")
