"""Cyclical SG-MCMC: its steps, its noise and the law of what it samples."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from bench_uq.methods.csgmcmc import CyclicalSGMCMC
from bench_uq.train.recipe import begin, step
from bench_uq.train.settings import Settings

EPOCHS, STEPS = 12, 10


class Weights(nn.Module):
    """Many networks of one weight each, under the potential size * w^2 / 2, as one batch, and the
    buffers of the method.
    """

    def __init__(self, count: int, size: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(count, dtype=torch.float64))
        for name, value in {"size": size, "steps": 0, "all_steps": math.inf, "cut": 0}.items():
            self.register_buffer(name, torch.full((count,), float(value)))
        # More than there is room for: no sample is kept.
        self.register_buffer("kept", torch.tensor(99))


def moves(
    method: CyclicalSGMCMC,
    net: Weights,
    settings: Settings,
    slope: float | None = None,
    steps: int = STEPS,
) -> Tensor:
    """Change of all weights in each step, (epochs * steps, count); ``slope`` is a gradient to use
    instead of that of the potential.
    """
    optimiser = method.optimiser(net)
    begin(optimiser, settings)
    torch.manual_seed(0)
    found = []
    for number in range(EPOCHS * steps):
        before = net.weights.detach().clone()
        net.weights.grad = before.clone() if slope is None else torch.full_like(before, slope)
        step(optimiser, settings, number / (EPOCHS * steps), 1 / (EPOCHS * steps))
        found.append(net.weights.detach() - before)

        if (number + 1) % steps == 0:
            method.observe(net, (number + 1) / (EPOCHS * steps))
    return torch.stack(found)


def shares(cycles: int) -> Tensor:
    """Zhang et al. 2020, eq. 1, over alpha_0, for each step."""
    length = EPOCHS * STEPS // cycles
    found = []
    for number in range(EPOCHS * STEPS):
        found.append((math.cos(math.pi * (number % length) / length) + 1) / 2)
    return torch.tensor(found).double()


@pytest.mark.parametrize(
    "recipe", [{}, {"schedule": "cosine", "warmup": 0.1}, {"schedule": "step"}]
)
def test_steps_of_the_cycles(recipe):
    """After the first epoch the steps are those of eq. 1, whatever the schedule of the suite; those
    of the first epoch do not fall.
    """
    method = CyclicalSGMCMC(cycles=3, step_size=0.2, friction=1.0, temperature=1e-20)
    found = moves(method, Weights(1, 50), Settings(learning_rate=0.5, **recipe), slope=-1.0)[:, 0]
    expected = 0.2 * shares(3)
    expected[:STEPS] = 0.2
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_noise_of_the_cycles():
    """There is noise in the last part of each cycle alone, of variance 2 T step / N."""
    method = CyclicalSGMCMC(cycles=3, exploration=0.5, step_size=0.2, friction=1.0, temperature=0.7)
    found = moves(method, Weights(4000, 50), Settings(), slope=0.0)
    length = EPOCHS * STEPS // 3
    quiet = (torch.arange(EPOCHS * STEPS) % length) < length / 2

    assert (found[quiet] == 0).all()
    expected = 2 * 0.7 * 0.2 * shares(3)[~quiet] / 50
    ratio = found[~quiet].square().mean(1) / expected
    assert (ratio - 1).abs().max() < 5 * math.sqrt(2 / 4000)


@pytest.mark.parametrize("friction", [1.0, 0.3])
@pytest.mark.parametrize("size", [20, 200])
def test_law_at_the_end_of_a_cycle(friction, size):
    """What a cycle that begins anywhere ends with is N(0, T / N), the posterior of that potential,
    at its temperature.
    """
    method = CyclicalSGMCMC(
        cycles=1, exploration=0.0, step_size=0.3 * friction, friction=friction, temperature=0.5
    )
    net = Weights(20_000, size)
    with torch.no_grad():
        net.weights.fill_(3.0)
    moves(method, net, Settings(), steps=60)

    found = net.weights.detach()
    expected = 0.5 / size
    assert found.mean().abs().item() < 5 * math.sqrt(expected / 20_000)
    # The step size changes slowly beside the memory of the chain, until it hardly moves any more.
    assert found.var().item() == pytest.approx(expected, rel=0.06)


def test_exploration_shrinks_the_spread():
    """Without noise, exploration goes down to the mode, and sampling spreads out from there."""
    method = CyclicalSGMCMC(cycles=1, exploration=0.5, step_size=0.3, friction=1.0)
    net = Weights(5000, 50)
    with torch.no_grad():
        net.weights.normal_()

    found = moves(method, net, Settings()).cumsum(0)
    places = found + (net.weights.detach() - found[-1])
    assert places[EPOCHS * STEPS // 2 - 1].std() < 1e-3
    assert places[-1].var().item() == pytest.approx(1 / 50, rel=0.2)
