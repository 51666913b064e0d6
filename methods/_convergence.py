"""Convergence of Markov chains, from one quantity or many along each of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def halves(chains: Tensor) -> Tensor:
    """Both halves of each chain as chains of their own, (M, n, Q) -> (2 M, n // 2, Q)."""
    half = chains.shape[1] // 2
    # Of an odd number the one in the middle belongs to neither.
    return torch.cat([chains[:, :half], chains[:, -half:]])


def rank_normalised(chains: Tensor) -> Tensor:
    """Normal scores of the ranks over all chains, (M, n, Q) (Vehtari et al. 2021, eq. 14)."""
    values = chains.double().flatten(0, 1).T.contiguous()
    ordered = values.sort(-1).values
    # Equal values share their mean rank: in their order, each chain would have ranks of its own.
    below = torch.searchsorted(ordered, values)
    up_to = torch.searchsorted(ordered, values, right=True)
    ranks = (below + up_to + 1).double() / 2

    scores = torch.special.ndtri((ranks - 3 / 8) / (values.shape[1] + 1 / 4))
    return scores.T.unflatten(0, chains.shape[:2])


def variances(chains: Tensor) -> tuple[Tensor, Tensor]:
    """Mean variance within the chains, and the variance that takes in their means, (Q,) each.

    W and var+ of Vehtari et al. 2021, eq. 2 and 3.
    """
    length = chains.shape[1]
    within = chains.var(1).mean(0)
    between = chains.mean(1).var(0)
    return within, (length - 1) / length * within + between


def potential_scale_reduction(chains: Tensor) -> Tensor:
    """R-hat of chains that are split already, (M, n, Q) -> (Q,) (eq. 4)."""
    within, over_all = variances(chains)
    # Chains that never move agree if they stand at one place, and else not at all.
    found = (over_all / within).sqrt()
    return found.where(over_all > 0, torch.ones_like(found))


def rhat(chains: Tensor) -> Tensor:
    """Rank-normalised split R-hat of chains (M, n, Q): the larger of bulk and tails, (Q,)."""
    split = halves(chains.double())
    median = split.flatten(0, 1).quantile(0.5, dim=0)
    folded = (split - median).abs()

    bulk = potential_scale_reduction(rank_normalised(split))
    tails = potential_scale_reduction(rank_normalised(folded))
    return torch.maximum(bulk, tails)


def bulk_ess(chains: Tensor) -> Tensor:
    """Effective number of independent draws in all chains (M, n, Q), (Q,) (eq. 10 to 12)."""
    split = rank_normalised(halves(chains))
    count, length = split.shape[:2]
    within, over_all = variances(split)

    # Autocovariances by the Fourier transform, padded so that the ends do not meet.
    centred = split - split.mean(1, keepdim=True)
    power = torch.fft.rfft(centred, 2 * length, dim=1).abs().square()
    covariance = torch.fft.irfft(power, dim=1)[:, :length].mean(0) / length
    correlation = 1 - (within - covariance) / over_all

    # Geyer's initial monotone sequence: sums of pairs, as long as they are positive, never rising.
    even = length - length % 2
    pairs = correlation[0:even:2] + correlation[1:even:2]
    positive = (pairs > 0).cumprod(0)
    total = (pairs.cummin(0).values * positive).sum(0)

    # No fewer than this: negative correlations are hard to estimate.
    time = (2 * total - 1).clamp_min(1 / math.log10(count * length))
    # A constant is known from any draw.
    return count * length / time.where(over_all > 0, 1.0)
