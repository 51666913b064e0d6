"""Mixtures of draws by NumPy: the arrays that a likelihood stores, without torch.

The same steps as ``Likelihood.mixture`` in api/likelihoods.py, to which tests hold them.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import logsumexp, ndtr

from bench_uq.api.likelihoods import LOG_ZERO, QUANTILE_LEVELS, ROUNDING, Categorical, Likelihood
from bench_uq.api.task import Predictions

#: Examples that are averaged at a time, which bounds the memory and changes no number.
BLOCK = 1024


def mixture(likelihood: Likelihood, draws: np.ndarray, targets: np.ndarray | None) -> Predictions:
    """Average draws (S, N, P), not yet normalised, into the arrays that metrics take.

    ``targets`` are (N,), or None for out-of-distribution data.
    """
    average = of_classes if isinstance(likelihood, Categorical) else of_gaussians
    blocks = []
    for start in range(0, draws.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        blocks.append(average(draws[:, block], None if targets is None else targets[block]))

    arrays = {}
    for name in blocks[0]:
        arrays[name] = np.concatenate([block[name] for block in blocks])
    if targets is not None:
        arrays["targets"] = targets
    return Predictions(arrays)


def of_classes(draws: np.ndarray, targets: np.ndarray | None) -> dict[str, np.ndarray]:
    """Arrays of a mixture of log-probabilities (S, B, C) and labels (B,)."""
    log_probs = draws - logsumexp(draws, axis=-1, keepdims=True)
    # A probability of zero has a log-probability of -inf, and 0 * -inf is nan.
    finite = np.maximum(log_probs, LOG_ZERO)
    probs = np.exp(log_probs)

    # The mean of probabilities, not of their logarithms, is the mixture's.
    log_mean = logsumexp(log_probs, axis=0) - math.log(len(log_probs))
    ratio = finite - np.maximum(log_mean, LOG_ZERO)
    # Mean KL of a draw to the mixture; of each class it is at least 0, as p log p is convex.
    gaps = np.maximum((probs * ratio).mean(0), 0).sum(-1)
    gaps[gaps <= ROUNDING * (1 + math.log(draws.shape[-1]))] = 0

    found = {
        "probs": np.exp(log_mean),
        "draw_entropy": -(probs * finite).sum(-1).mean(0),
        "mutual_information": gaps,
    }
    if targets is not None:
        found["log_density"] = log_mean[np.arange(len(targets)), targets]
    return found


def of_gaussians(draws: np.ndarray, targets: np.ndarray | None) -> dict[str, np.ndarray]:
    """Arrays of a mixture of Gaussians (S, B, 2), mean and log-variance, and targets (B,)."""
    mean, variance = draws[..., 0], np.exp(draws[..., 1])
    std = np.sqrt(variance)
    found = {
        "mean": mean.mean(0),
        "variance": variance.mean(0) + mean.var(0),
        "draw_variance": variance.mean(0),
        "quantiles": quantiles(mean, std),
    }

    if targets is not None:
        squared = (targets - mean) ** 2 / variance
        log_prob = -0.5 * (math.log(2 * math.pi) + draws[..., 1] + squared)
        found["log_density"] = logsumexp(log_prob, axis=0) - math.log(len(draws))
        found["ranked_score"] = crps(mean, std, targets)
    return found


def quantiles(mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Invert the mixture's distribution function by bisection: (S, B) moments -> (B, Q)."""
    levels = np.asarray(QUANTILE_LEVELS)
    # Eight standard deviations leave less than 1e-15 of each component outside.
    low = np.repeat((mean - 8 * std).min(0)[:, None], len(levels), axis=1)
    high = np.repeat((mean + 8 * std).max(0)[:, None], len(levels), axis=1)

    # Each step halves the bracket: 50 of them reach the precision of float64.
    for _ in range(50):
        middle = (low + high) / 2
        below = ndtr((middle - mean[..., None]) / std[..., None]).mean(0) < levels
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


def crps(mean: np.ndarray, std: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """CRPS of the mixture in closed form (Grimit et al. 2006): (S, B) moments, (B,) targets."""
    found = _size(targets - mean, std).mean(0)
    # Draw by draw, because all pairs of draws at once would take S times the memory.
    for one_mean, one_std in zip(mean, std, strict=True):
        found = found - _size(mean - one_mean, np.hypot(std, one_std)).mean(0) / (2 * len(mean))
    return found


def _size(gap: np.ndarray, std: np.ndarray) -> np.ndarray:
    """E|N(gap, std^2)|."""
    scaled = gap / std
    density = np.exp(-(scaled**2) / 2) / math.sqrt(2 * math.pi)
    return np.asarray(gap * (2 * ndtr(scaled) - 1) + 2 * std * density)
