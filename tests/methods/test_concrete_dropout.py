"""Concrete dropout against dropout, the KL of its posterior, and rates that are known."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import optimize
from torch import nn
from torch.distributions import Bernoulli

from bench_uq.methods.concrete_dropout import ConcreteDropout, ConcreteMask
from bench_uq.methods.map import MAP


def masks_of(net: nn.Module) -> list[ConcreteMask]:
    """Masks of a network, in order."""
    return [layer for layer in net.modules() if isinstance(layer, ConcreteMask)]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_cold_masks_are_those_of_dropout(rate: float, agree) -> None:
    """At a low temperature a share p of the inputs is 0 and the others are divided by 1 - p."""
    torch.manual_seed(0)
    masks = ConcreteMask(rate, 0.01).double()(torch.ones(200_000, 1).double()).detach()
    dropped, kept = masks < 0.01 / (1 - rate), masks > 0.99 / (1 - rate)
    assert (dropped | kept).double().mean() > 0.97
    agree((masks < 0.5 / (1 - rate)).double(), rate)


@pytest.mark.parametrize("rate", [0.03, 0.5, 0.9])
def test_entropy(rate: float) -> None:
    """It is torch's entropy of a Bernoulli variable."""
    torch.testing.assert_close(ConcreteMask(rate, 0.1).entropy(), Bernoulli(rate).entropy())


def test_smooth_masks_follow_their_rate(agree) -> None:
    """The gradient in the logit is that of the mean mask, by finite differences."""
    torch.manual_seed(0)
    mask, step = ConcreteMask(0.3, 0.4).double(), 1e-4
    inputs = torch.ones(100_000, 1).double()
    start = mask.logit.item()

    means = []
    for logit in (start - step, start + step):
        with torch.no_grad():
            mask.logit.fill_(logit)
            torch.manual_seed(1)
            means.append(mask(inputs).square().mean().item())

    with torch.no_grad():
        mask.logit.fill_(start)
    torch.manual_seed(1)
    (gradient,) = torch.autograd.grad(mask(inputs).square().mean(), mask.logit)
    assert gradient.item() == pytest.approx((means[1] - means[0]) / (2 * step), rel=1e-4)


def test_loss_without_dropout_is_that_of_map(images) -> None:
    """At a rate of 0 the loss is map's, whose prior it has."""
    torch.manual_seed(0)
    method = ConcreteDropout(prior_std=0.5)
    net = method.build(images)
    net.task = images
    for mask in masks_of(net):
        mask.logit.data.fill_(-40.0)

    plain = MAP(prior_std=0.5).build(images)
    plain.task = images
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    others = [layer for layer in plain.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    for layer, other in zip(layers, others, strict=True):
        other.load_state_dict(layer.state_dict())

    batch = torch.rand(6, 1, 8, 8), torch.arange(6)
    expected = MAP(prior_std=0.5).loss(plain, *batch, 50, 0.0)
    torch.testing.assert_close(method.loss(net, *batch, 50, 0.0), expected, rtol=1e-5, atol=0)


def test_penalty_is_that_of_each_layer(images) -> None:
    """What the rates add is Σ ||M||² (1 - p) / (2 s²) - K H(p), with the weights M = W / (1 - p)
    of the paper, over the two dense layers of the network.
    """
    torch.manual_seed(0)
    method = ConcreteDropout(prior_std=0.5)
    net = method.build(images).double()
    net.task = images
    batch = torch.rand(6, 1, 8, 8).double(), torch.arange(6)
    rates = (0.2, 0.6)
    for mask, rate in zip(masks_of(net), rates, strict=True):
        mask.logit.data.fill_(math.log(rate / (1 - rate)))

    expected = 0.0
    for rate, layer in zip(
        rates, [one for one in net.modules() if isinstance(one, nn.Linear)], strict=True
    ):
        paper = layer.weight / (1 - rate)
        expected += (paper.square().sum() * (1 - rate) + layer.bias.square().sum()) / (2 * 0.25)
        expected -= layer.in_features * Bernoulli(rate).entropy()
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            expected += (layer.weight.square().sum() + layer.bias.square().sum()) / (2 * 0.25)

    losses = []
    for size in (50, 10**12):
        torch.manual_seed(1)
        losses.append(method.loss(net, *batch, size, 0.0))
    torch.testing.assert_close(losses[0] - losses[1], expected / 50, rtol=1e-5, atol=0)


def best_rate(spread: float, squares: float, size: int, inputs: int) -> float:
    """The rate at which a linear model of independent inputs has the lowest bound.

    Its NLL rises with the variance p / (1 - p) of the masks, its penalty with 1 / (1 - p).
    """

    def bound(rate: float) -> float:
        noise = size * spread * rate / (1 - rate)
        entropy = -rate * math.log(rate) - (1 - rate) * math.log(1 - rate)
        return noise + squares / (1 - rate) - inputs * entropy

    return float(optimize.minimize_scalar(bound, bounds=(1e-4, 0.9), method="bounded").x)


@pytest.mark.parametrize(("size", "about"), [(10, 0.35), (40, 0.18), (120, 0.04)])
def test_learned_rate_is_the_best(size: int, about: float) -> None:
    """The rate that is learned for fixed weights is that of the lowest bound, and falls with data.

    Targets are y = x w exactly, so a mask m costs (x w - (m x) w)² / 2 in nats of noise 1.
    """
    torch.manual_seed(0)
    weights, inputs = 0.2 * torch.randn(1, 20), torch.randn(512, 20)
    mask = ConcreteMask(0.3, 0.02)
    optimiser = torch.optim.Adam([mask.logit], lr=0.05)

    history = []
    for step in range(600):
        optimiser.param_groups[0]["lr"] = 0.05 * (1 - step / 600)
        optimiser.zero_grad()
        misfit = ((mask(inputs) - inputs) @ weights.T).square().mean() / 2
        penalty = weights.square().sum() / 2 / (1 - mask.rate()) - 20 * mask.entropy()
        (misfit + penalty / size).backward()
        optimiser.step()
        history.append(mask.rate().item())

    spread = (inputs.square() @ weights.square().T).mean().item() / 2
    wanted = best_rate(spread, weights.square().sum().item() / 2, size, 20)
    found = sum(history[-200:]) / 200
    assert found == pytest.approx(wanted, rel=0.1)
    assert wanted == pytest.approx(about, abs=0.03)


@pytest.mark.parametrize("rate", [1e-6, 1 - 1e-6])
def test_rates_at_their_bounds(rate: float, images) -> None:
    """Loss and gradients are finite at the least and the largest rate."""
    method = ConcreteDropout(start_rate=rate)
    torch.manual_seed(0)
    net = method.build(images)
    net.task = images
    loss = method.loss(net, torch.rand(8, 1, 8, 8), torch.arange(8), 8, 0.0)
    loss.backward()
    assert loss.isfinite()
    assert all(values.grad.isfinite().all() for values in net.parameters())


@pytest.mark.parametrize(
    "option",
    [
        {"start_rate": 0.0},
        {"start_rate": 1e-9},
        {"start_rate": 1 - 1e-9},
        {"start_rate": 1.0},
        {"start_rate": math.nan},
        {"temperature": 0.0},
    ],
)
def test_nonsense_is_refused(option) -> None:
    """A rate that is learned is neither 0 nor 1, and a temperature above 0."""
    with pytest.raises(ValueError, match=next(iter(option))):
        ConcreteDropout(**option)
