"""The normal prior over weights that are learned as numbers, as in map."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from bench_uq.methods._priors import PriorStd, std_of


def minus_log_prior(parameters: Iterable[Tensor], prior_std: PriorStd) -> Tensor | float:
    """-log N(0, prior_std^2) of all numbers, in nats, without its constant."""
    total: Tensor | float = 0.0
    for weights in parameters:
        # dot reads each weight once, and keeps no array of squares for the gradient.
        squares = weights.flatten().dot(weights.flatten())
        total = total + squares / (2 * std_of(prior_std, weights.shape) ** 2)
    return total
