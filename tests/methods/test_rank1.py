"""Rank-1 factors against plain networks with explicit weights, and their KL against torch's."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from bench_uq.api import kl, network
from bench_uq.methods.map import MAP
from bench_uq.methods.rank1 import Factors, Rank1, Rank1Conv2d, Rank1Linear


def fixed(net: nn.Module) -> None:
    """Leave the factors no noise."""
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, Factors):
                layer.log_variance.fill_(-80.0)


def built(method: Rank1, task) -> nn.Module:
    """Return an untrained network, in evaluation."""
    torch.manual_seed(0)
    net = method.build(task).eval()
    net.task = task
    return net


def explicit(net: nn.Module, task, component: int) -> nn.Module:
    """Return the plain network whose weights are those of a component's means, s W r."""
    plain, values = network(task).eval(), dict(net.named_parameters())
    state = plain.state_dict()
    for name in [name for name in state if name.endswith("weight")]:
        layer = name.removesuffix("weight")
        inner = values[f"{layer}inner.mean"][component].detach()
        outer = values[f"{layer}outer.mean"][component].detach()
        weights = values[name].detach()
        rest = (1,) * (weights.dim() - 2)
        state[name] = weights * outer.reshape(-1, 1, *rest) * inner.reshape(1, -1, *rest)
        state[f"{layer}bias"] = values[f"{layer}bias"].detach()
    plain.load_state_dict(state)
    return plain


def test_factors_of_one_are_a_plain_network(images) -> None:
    """With all factors fixed at 1, outputs are those of the shared weights in a plain network."""
    net = built(Rank1(), images)
    fixed(net)
    plain, values = network(images).eval(), net.state_dict()
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, Factors):
                layer.mean.fill_(1.0)
        plain.load_state_dict({name: values[name] for name in plain.state_dict()})
        inputs = torch.rand(8, 1, 8, 8)
        torch.testing.assert_close(net(inputs), plain(inputs))


@pytest.mark.parametrize("components", [1, 3])
def test_components_are_networks(components: int, images) -> None:
    """Without noise, draws are the networks of the components, each once before any twice."""
    method = Rank1(components=components, factor_std=0.5)
    net = built(method, images)
    fixed(net)
    inputs = torch.rand(5, 1, 8, 8)
    members = [explicit(net, images, number) for number in range(components)]

    with torch.no_grad():
        wanted = torch.stack([member(inputs).log_softmax(-1) for member in members])
        draws = method.draws(net, inputs, 2 * components + 1)
        some = torch.stack([method.draws(net, inputs, 1)[0] for _ in range(40)])

    def numbers(found: Tensor) -> list[int]:
        distances = (found.unsqueeze(1) - wanted).abs().amax((2, 3))
        assert distances.amin(1).max() < 1e-4
        return distances.argmin(1).tolist()

    order = numbers(draws)
    assert sorted(order[:components]) == sorted(order[components : 2 * components])
    assert set(order[:components]) == set(range(components))
    assert set(numbers(some)) == set(range(components)), "a single draw is of any component"


def test_loss_is_the_mean_over_components(images) -> None:
    """It is the mean NLL of the components, plus the KL and map's prior over the other weights."""
    method = Rank1(components=3, factor_std=0.5, prior_std=0.4, kl_weight=0.7)
    net = built(method, images)
    fixed(net)
    inputs, targets = torch.rand(6, 1, 8, 8), torch.arange(6)

    losses = []
    for number in range(3):
        outputs = explicit(net, images, number)(inputs)
        losses.append(nn.functional.cross_entropy(outputs, targets))

    plain = network(images)
    plain.task = images
    plain.load_state_dict({name: net.state_dict()[name] for name in plain.state_dict()})
    likelihood = nn.functional.cross_entropy(plain(inputs), targets)
    prior = MAP(prior_std=0.4).loss(plain, inputs, targets, 50, 0.0) - likelihood
    expected = torch.stack(losses).mean() + 0.7 * kl(net) / 50 + prior
    torch.testing.assert_close(
        method.loss(net, inputs, targets, 50, 0.0), expected, rtol=1e-4, atol=0
    )


def test_kl_is_the_mean_of_the_components() -> None:
    """kl() is the mean over components of torch's KL to N(1, std^2)."""
    torch.manual_seed(0)
    factors = Factors(4, 6, std=0.3, start=-2.0).double()
    with torch.no_grad():
        factors.log_variance += torch.randn(4, 6)
    law = Normal(factors.mean, (0.5 * factors.log_variance).exp())
    each = kl_divergence(law, Normal(1.0, 0.3)).sum(1)
    torch.testing.assert_close(factors.kl(), each.mean())


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_outputs_have_the_moments_of_explicit_factors(kind: str, agree) -> None:
    """Outputs have the mean and the covariance of explicit factors, one for all positions."""
    torch.manual_seed(0)

    def factors(size: int) -> Factors:
        return Factors(1, size, std=0.5, start=-1.5)

    dense = kind == "dense"
    layer = Rank1Linear(3, 2, factors=factors) if dense else Rank1Conv2d(2, 3, 2, factors=factors)
    layer = layer.double()
    inputs = torch.randn(1, *((3,) if dense else (2, 3, 3))).double()
    patches = inputs.T if dense else nn.functional.unfold(inputs, 2)[0]

    with torch.no_grad():
        outputs = layer(inputs.expand(30_000, *inputs.shape[1:])).flatten(1)
        inner, outer = (
            Normal(each.mean[0], (0.5 * each.log_variance[0]).exp()).sample((30_000,))
            for each in (layer.inner, layer.outer)
        )
        rest = (1,) * (layer.weight.dim() - 2)
        weights = (
            layer.weight * inner.reshape(30_000, 1, -1, *rest) * outer.reshape(30_000, -1, 1, *rest)
        )
        wanted = (weights.flatten(2) @ patches + layer.bias.reshape(1, -1, 1)).flatten(1)

    agree(outputs, wanted.mean(0))
    ours, theirs = outputs - wanted.mean(0), wanted - wanted.mean(0)
    own, other = (each.unsqueeze(1) * each.unsqueeze(2) for each in (ours, theirs))
    error = (own.var(0) / 30_000 + other.var(0) / 30_000).sqrt()
    assert ((own.mean(0) - other.mean(0)).abs() / error).max() < 5


def test_rates(images) -> None:
    """Log-variances have variance_rate, all else 1e-3, and nothing is in two groups."""
    net = Rank1().build(images)
    others, variances = Rank1(variance_rate=0.05).optimiser(net).param_groups
    assert (others["lr"], variances["lr"], variances["own_rate"]) == (1e-3, 0.05, True)
    assert len(others["params"]) + len(variances["params"]) == len(list(net.parameters()))
    ours = [layer.log_variance for layer in net.modules() if isinstance(layer, Factors)]
    assert set(map(id, variances["params"])) == set(map(id, ours))


@pytest.mark.parametrize(
    "option", [{"components": 0}, {"factor_std": 0.0}, {"factor_std": math.inf}]
)
def test_nonsense_is_refused(option) -> None:
    """There is a component at least, and a finite prior."""
    with pytest.raises(ValueError, match=next(iter(option))):
        Rank1(**option)
