"""Mixture density networks: the loss against integration, the draws against the mixture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import integrate
from torch import Tensor, nn
from torch.distributions import Categorical as Choice
from torch.distributions import MixtureSameFamily, Normal

from bench_uq.api import Examples, Gaussian, Network, Task, UsageError
from bench_uq.methods._heads import numbers_of, with_head
from bench_uq.methods.map import MAP
from bench_uq.methods.mdn import MDN, MixtureHead
from bench_uq.train.loop import train
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings
from bench_uq.train.splits import fitted

#: So many examples that the prior counts for nothing.
MANY = 10**15


def built(method: MDN, task: Task, spread: float = 8.0) -> nn.Module:
    """Return a network in float64 whose components differ much in weight, mean and variance."""
    torch.manual_seed(0)
    net = method.build(task).double().eval()
    net.task = task
    with torch.no_grad():
        net.stages[-1].dense.weight.mul_(spread)
    return net


def mixture(net: nn.Module, inputs: Tensor, likelihood: Gaussian) -> MixtureSameFamily:
    """Return the mixture in the units of the targets, by torch.distributions."""
    logits, means, log_variances = (
        numbers_of(net, inputs).detach().unflatten(-1, (-1, 3)).unbind(-1)
    )
    stds = likelihood.std * (0.5 * log_variances).exp()
    return MixtureSameFamily(
        Choice(logits=logits), Normal(likelihood.mean + likelihood.std * means, stds)
    )


def test_loss_is_the_nll_of_the_mixture(features):
    """The loss is -log of the mixture's density, and that density integrates to 1."""
    method = MDN(components=4)
    net = built(method, features)
    inputs, targets = torch.rand(6, 5).double(), 20 + 3 * torch.randn(6).double()

    expected = -mixture(net, inputs, features.likelihood).log_prob(targets).mean()
    loss = method.loss(net, inputs, targets, MANY, 0.0)
    torch.testing.assert_close(loss, expected)

    def density(target: float) -> float:
        """Return the density of one example."""
        with torch.no_grad():
            one = torch.tensor([target]).double()
            return (-method.loss(net, inputs[:1], one, MANY, 0.0)).exp().item()

    assert integrate.quad(density, -200, 240, points=[20], limit=200)[0] == pytest.approx(
        1, abs=1e-6
    )


def test_prior_is_that_of_map(features):
    """With one component the loss is that of ``map``, the prior of all weights included."""
    torch.manual_seed(0)
    method = MDN(components=1, prior_std=0.5)
    net = method.build(features)
    plain = MAP(prior_std=0.5).build(features)
    net.task = plain.task = features
    with torch.no_grad():
        for values, others in zip(plain.parameters(), net.parameters(), strict=True):
            # The weight of the one component comes first, and changes nothing.
            if len(others) == 3:
                others[0] = 0
                others = others[1:]
            values.copy_(others)

    inputs, targets = torch.rand(7, 5), 20 + torch.randn(7)
    loss = method.loss(net, inputs, targets, 7, 0.0)
    torch.testing.assert_close(loss, MAP(prior_std=0.5).loss(plain, inputs, targets, 7, 0.0))


@pytest.mark.parametrize("count", [1, 7, 20])
def test_draws_hold_the_mixture(features, count, agree):
    """Among S draws a component of weight w stands S w times, rounded up or down, and on the
    average exactly so often; the first draw is that component as often as any other.
    """
    method = MDN(components=3)
    net = built(method, features)
    inputs = torch.rand(4, 5).double()
    found = mixture(net, inputs, features.likelihood)
    weights, means = found.mixture_distribution.probs, found.component_distribution.mean
    assert weights.min() < 0.05

    torch.manual_seed(1)
    shares, first = [], []
    for _ in range(2000):
        draws = method.draws(net, inputs, count)
        assert draws.shape == (count, 4, 2)
        same = torch.isclose(draws[..., 0].unsqueeze(-1), means)
        shares.append(same.double().sum(0))
        first.append(same[0].double())

    counts = torch.stack(shares)
    assert (counts - count * weights).abs().max() < 1
    # A little noise, as some counts are always the same.
    agree(counts + 1e-9 * torch.randn_like(counts), count * weights)
    agree(torch.stack(first), weights)


def test_mixture_of_draws_has_the_density(features):
    """The mean density of 1,000 draws is within 1 % of that of the network's mixture."""
    method = MDN(components=3)
    net = built(method, features)
    inputs, targets = torch.rand(4, 5).double(), 20 + 3 * torch.randn(4).double()
    densities = features.likelihood.log_prob(method.draws(net, inputs, 1000), targets).exp()
    expected = mixture(net, inputs, features.likelihood).log_prob(targets).exp()
    torch.testing.assert_close(densities.mean(0), expected, atol=0, rtol=1e-2)


def test_known_noise(features):
    """Where the noise is known all components have it."""
    task = replace(features, likelihood=Gaussian(20.0, 3.0, 0.7))
    net = built(MDN(), task)
    draws = MDN().draws(net, torch.rand(4, 5).double(), 10)
    torch.testing.assert_close(draws[..., 1].exp(), torch.full((10, 4), 0.49).double())


def test_two_branches_are_found():
    """Of targets on two branches, 70 % on one and 30 % on the other, both are learned: weights,
    means and noise.
    """
    rng = np.random.default_rng(0)
    inputs = rng.random((1500, 1)).astype(np.float32)
    upper = rng.random(1500) < 0.7
    branch = np.where(upper, 2 + inputs[:, 0], -1 - 2 * inputs[:, 0])
    examples = Examples(inputs, (branch + 0.1 * rng.standard_normal(1500)).astype(np.float32))

    task = fitted(Task((1,), Gaussian(), network="mlp"), examples)
    data = Resident(examples, torch.device("cpu"), 100)
    settings = Settings(epochs=40, learning_rate=0.01, schedule="cosine")
    net = train(MDN(components=2), task, (data, data), settings, seed=0)[0][0]

    shown = torch.tensor([[0.2], [0.8]])
    found = mixture(net, shown, task.likelihood)
    order = found.component_distribution.mean.argsort(-1)
    weights = found.mixture_distribution.probs.gather(-1, order)
    means = found.component_distribution.mean.gather(-1, order)
    stds = found.component_distribution.stddev.gather(-1, order)
    torch.testing.assert_close(weights, torch.tensor([[0.3, 0.7]] * 2), atol=0.05, rtol=0)
    torch.testing.assert_close(means, torch.tensor([[-1.4, 2.2], [-2.6, 2.8]]), atol=0.1, rtol=0)
    torch.testing.assert_close(stds, torch.full((2, 2), 0.1), atol=0.04, rtol=0)


def test_gradients_of_draws(features):
    """Draws carry the gradients of their component's mean in the inputs."""
    method = MDN(components=1)
    net = built(method, features)
    inputs = torch.rand(3, 5).double().requires_grad_()
    (found,) = torch.autograd.grad(method.draws(net, inputs, 4)[..., 0].sum(), inputs)
    (expected,) = torch.autograd.grad(4 * 3.0 * numbers_of(net, inputs)[:, 1].sum(), inputs)
    torch.testing.assert_close(found, expected)


def test_suits(features, images):
    """Mixtures of Gaussians are for real targets alone."""
    assert MDN().suits(features)
    assert not MDN().suits(images)


def test_last_layer_of_any_network_is_replaced(features):
    """The last dense layer is replaced, also inside a module of the user; without one it is said."""
    inside = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2))
    net = with_head(Network(features, [inside]), lambda inputs: MixtureHead(inputs, 3))
    assert isinstance(inside[2], MixtureHead)
    assert isinstance(inside[0], nn.Linear)
    assert numbers_of(net, torch.rand(4, 5)).shape == (4, 9)
    assert net(torch.rand(4, 5)).shape == (4, 2)

    with pytest.raises(UsageError, match="last dense layer"):
        with_head(nn.Sequential(nn.ReLU()), lambda inputs: MixtureHead(inputs, 3))
