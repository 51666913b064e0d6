"""Vector scaling: its prior, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax
from torch import Tensor

from bench_uq.methods.vector_scaling import VectorScaling


def examples(size: int, *, certain: bool) -> tuple[Tensor, Tensor]:
    """Log-probabilities (N, 4) and labels, which with ``certain`` are always the likeliest."""
    torch.manual_seed(0)
    log_probs = (3 * torch.randn(size, 4)).double().log_softmax(-1)
    if certain:
        return log_probs, log_probs.argmax(-1)
    return log_probs, (log_probs / 2).softmax(-1).multinomial(1).squeeze(1)


@pytest.mark.parametrize("spread", [0.2, 1.0])
@pytest.mark.parametrize("certain", [True, False])
def test_optimum_is_the_mode_of_the_posterior(spread: float, certain: bool) -> None:
    """The sum of the NLL and of -log N(factors; 1, spread^2) N(offsets; 0, spread^2) is lowest."""
    log_probs, targets = examples(150, certain=certain)
    method = VectorScaling(spread=spread)
    factors, offsets = method.fitted(log_probs, targets, list(method.start(4).values()))

    def loss(values: np.ndarray) -> float:
        scaled = log_softmax(log_probs.numpy() * values[:4] + values[4:], axis=1)
        squares = ((values - np.repeat([1.0, 0.0], 4)) ** 2).sum()
        return -scaled[np.arange(150), targets].sum() + squares / (2 * spread**2)

    best = minimize(loss, np.repeat([1.0, 0.0], 4), tol=1e-10)
    np.testing.assert_allclose(torch.cat([factors, offsets]), best.x, atol=1e-3)


def test_prior_counts_for_little_beside_many_examples() -> None:
    """With thousands of examples the map is that without a prior."""
    log_probs, targets = examples(20_000, certain=False)
    found = []
    for spread in (1.0, float("inf")):
        method = VectorScaling(spread=spread)
        found.append(torch.cat(method.fitted(log_probs, targets, list(method.start(4).values()))))
    assert (found[0] - found[1]).abs().max() < 0.01
    # Labels were drawn from probabilities to half the power.
    torch.testing.assert_close(found[0][:4], torch.full((4,), 0.5).double(), atol=0.05, rtol=0)
