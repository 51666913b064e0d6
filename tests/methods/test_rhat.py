"""R-hat and effective sample size against their textbook form in SciPy, and against known chains."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from bench_uq.methods._convergence import bulk_ess, potential_scale_reduction, rhat


def noise(chains: int, length: int, quantities: int = 1, seed: int = 0) -> Tensor:
    """Independent standard normal numbers, (M, n, Q), in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(chains, length, quantities, generator=generator, dtype=torch.float64)


def autoregressive(chains: int, length: int, phi: float, quantities: int = 1) -> Tensor:
    """Stationary chains x' = phi x + noise of unit variance, (M, n, Q)."""
    fresh = noise(chains, length, quantities) * math.sqrt(1 - phi**2)
    found = [noise(chains, 1, quantities, seed=1)[:, 0]]
    for step in range(1, length):
        found.append(phi * found[-1] + fresh[:, step])
    return torch.stack(found, 1)


def split_by_hand(chains: np.ndarray) -> np.ndarray:
    """Halves of the chains (M, n), (2 M, n // 2)."""
    half = chains.shape[1] // 2
    return np.concatenate([chains[:, :half], chains[:, -half:]])


def scores_by_hand(chains: np.ndarray) -> np.ndarray:
    """Normal scores of SciPy's ranks, of which equal values share the mean."""
    ranks = stats.rankdata(chains).reshape(chains.shape)
    return stats.norm.ppf((ranks - 0.375) / (chains.size + 0.25))


def reduction_by_hand(chains: np.ndarray) -> float:
    """R-hat of chains (M, n), Gelman et al. 2013, eq. 11.4."""
    length = chains.shape[1]
    within = np.mean([chain.var(ddof=1) for chain in chains])
    between = length * np.var([chain.mean() for chain in chains], ddof=1)
    return math.sqrt(((length - 1) / length * within + between / length) / within)


def rhat_by_hand(chains: np.ndarray) -> float:
    """The larger R-hat of the scores and of those folded around the median."""
    parts = split_by_hand(chains)
    folded = np.abs(parts - np.median(parts))
    return max(reduction_by_hand(scores_by_hand(parts)), reduction_by_hand(scores_by_hand(folded)))


def ess_by_hand(chains: np.ndarray) -> float:
    """Effective sample size from sums of products, lag by lag."""
    parts = scores_by_hand(split_by_hand(chains))
    count, length = parts.shape
    within = np.mean([part.var(ddof=1) for part in parts])
    over_all = (length - 1) / length * within + np.var([part.mean() for part in parts], ddof=1)

    correlations = []
    for lag in range(length):
        products = []
        for part in parts:
            centred = part - part.mean()
            products.append((centred[: length - lag] * centred[lag:]).sum() / length)
        correlations.append(1 - (within - np.mean(products)) / over_all)

    total, lowest = 0.0, math.inf
    for lag in range(0, length - 1, 2):
        pair = correlations[lag] + correlations[lag + 1]
        if pair <= 0:
            break
        lowest = min(lowest, pair)
        total += lowest
    return count * length / max(2 * total - 1, 1 / math.log10(count * length))


@pytest.mark.parametrize("length", [40, 41])
@pytest.mark.parametrize("phi", [0.0, 0.7, -0.4])
def test_against_the_textbook(length, phi):
    """R-hat and bulk ESS are those of loops over chains and lags, with SciPy's ranks and scores."""
    chains = autoregressive(3, length, phi, quantities=5)
    # One quantity with many equal values, one that drifts, one with chains of different widths.
    chains[..., 1] = chains[..., 1].round()
    chains[..., 2] += torch.linspace(0, 2, length)
    chains[..., 3] *= torch.tensor([1.0, 2.0, 4.0]).unsqueeze(1)

    columns = chains.numpy().transpose(2, 0, 1)
    expected = [rhat_by_hand(column) for column in columns]
    torch.testing.assert_close(rhat(chains), torch.tensor(expected).double())
    expected = [ess_by_hand(column) for column in columns]
    torch.testing.assert_close(bulk_ess(chains), torch.tensor(expected).double())


def test_two_chains_of_two():
    """Chains (0, 2) and (4, 6): W = 2, B / n = 8, var+ = 1 + 8, R-hat = sqrt(9 / 2)."""
    chains = torch.tensor([[0.0, 2.0], [4.0, 6.0]]).double().unsqueeze(-1)
    assert potential_scale_reduction(chains).item() == pytest.approx(math.sqrt(4.5))


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_effective_sample_size_of_known_chains(phi):
    """Autoregressive chains have n (1 - phi) / (1 + phi) independent draws, within a tenth in the
    mean.
    """
    chains = autoregressive(4, 2000, phi, quantities=20)
    expected = 8000 * (1 - phi) / (1 + phi)
    assert bulk_ess(chains).mean().item() == pytest.approx(expected, rel=0.1)
    assert rhat(chains).max() < 1.05


def test_what_r_hat_tells():
    """Chains in two modes, chains that drift and chains of two widths are above 1.05; those of one
    law are below.
    """
    chains = noise(4, 100, 4)
    chains[..., 1] += torch.tensor([0.0, 0.0, 5.0, 5.0]).unsqueeze(1)
    chains[..., 2] += torch.linspace(0, 3, 100)
    chains[..., 3] *= torch.tensor([1.0, 1.0, 3.0, 3.0]).unsqueeze(1)

    found = rhat(chains)
    assert found[0] < 1.05
    assert found[1:].min() > 1.05
    assert found[1] > 1.5


def test_monotone_functions_do_not_matter():
    """R-hat of the bulk and the ESS are those of ranks: of probabilities as of their logarithms."""
    chains = autoregressive(4, 100, 0.5)
    torch.testing.assert_close(bulk_ess(chains.exp()), bulk_ess(chains))


def test_chains_that_stand_still():
    """Chains at one place agree; chains that stand at several places never will."""
    still = torch.ones(4, 20, 1)
    assert rhat(still).item() == 1
    assert bulk_ess(still).item() == 80
    apart = torch.arange(4.0).reshape(4, 1, 1).expand(4, 20, 1)
    assert rhat(apart).item() == math.inf
