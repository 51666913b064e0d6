"""Priors over the weights: one standard deviation, or one for each layer."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from bench_uq.api.errors import UsageError
from bench_uq.api.layers import kl
from bench_uq.api.likelihoods import Categorical
from bench_uq.api.task import Task
from bench_uq.methods._priors import std_of
from bench_uq.plan.plugins import Plugins

TASK = Task((1, 8, 8), Categorical(3), (0.5,), (0.3,), "lenet")


def test_he_is_by_layer() -> None:
    """Of a kernel of 3x3 over 4 channels there are 36 inputs; an array of one axis has 1."""
    assert std_of("he", (8, 4, 3, 3)) == pytest.approx(math.sqrt(2 / 36))
    assert std_of("he", (8, 50)) == pytest.approx(0.2)
    assert std_of("he", (8,)) == 1.0
    assert std_of(0.3, (8, 50)) == 0.3


def test_kl_of_mean_field() -> None:
    """The KL is torch's, of each layer to its own normal prior."""
    net = Plugins().spec("method", "mean-field[prior_std=he]").value.build(TASK)
    expected = 0.0
    for layer in net.modules():
        if not hasattr(layer, "weight_log_variance"):
            continue
        inputs = math.prod(layer.weight.shape[1:])
        prior = Normal(0.0, math.sqrt(2 / inputs))
        posterior = Normal(layer.weight, (layer.weight_log_variance / 2).exp())
        expected += kl_divergence(posterior, prior).sum().item()
        biases = Normal(layer.bias, (layer.bias_log_variance / 2).exp())
        expected += kl_divergence(biases, Normal(0.0, 1.0)).sum().item()

    assert expected > 0
    assert kl(net).item() == pytest.approx(expected, rel=1e-5)


def test_mnf_has_the_prior_of_mean_field() -> None:
    """With z all but 1, one prior changes the KL of MNF by what torch's KL changes."""
    kls, expected = [], []
    for text in ("1", "he"):
        torch.manual_seed(0)
        net = Plugins().spec("method", f"mnf[flows=0,prior_std={text}]").value.build(TASK)
        total = 0.0
        for layer in net.modules():
            if not hasattr(layer, "z_log_variance"):
                continue
            layer.z_log_variance.data.fill_(-40.0)
            std = 1.0 if text == "1" else math.sqrt(2 / math.prod(layer.weight.shape[1:]))
            posterior = Normal(layer.weight, (layer.weight_log_variance / 2).exp())
            total += kl_divergence(posterior, Normal(0.0, std)).sum().item()
        expected.append(total)
        torch.manual_seed(1)
        kls.append(kl(net).item())

    assert abs(expected[1] - expected[0]) > 1000
    assert kls[1] - kls[0] == pytest.approx(expected[1] - expected[0], rel=1e-4)


def test_loss_of_map() -> None:
    """The gradient of the loss is that of the NLL less torch's log density of the weights."""
    task, size = TASK, 100
    method = Plugins().spec("method", "map[prior_std=he]").value
    net = method.build(task)
    net.task = task
    inputs, targets = torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])

    own = torch.autograd.grad(method.loss(net, inputs, targets, size, 0.0), net.parameters())
    density = 0.0
    for weights in net.parameters():
        std = math.sqrt(2 / weights[0].numel()) if weights.dim() > 1 else 1.0
        density = density + Normal(0.0, std).log_prob(weights).sum()
    nll = nn.functional.cross_entropy(net(inputs), targets)
    expected = torch.autograd.grad(nll - density / size, net.parameters())
    for gradient, other in zip(own, expected, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", ["map", "mean-field", "mnf"])
def test_options(method: str) -> None:
    """A number stays a number, he a word of the name; anything else names both."""
    plugins = Plugins()
    assert plugins.spec("method", f"{method}[prior_std=1/2]").value.prior_std == 0.5
    assert "prior_std=he" in plugins.spec("method", f"{method}[prior_std=he]").full
    with pytest.raises(UsageError, match=r"prior_std must be he or of type float, not 'hee'"):
        plugins.spec("method", f"{method}[prior_std=hee]")
    with pytest.raises(UsageError, match=r"prior_std must be in \[1e-6, 1e6\] or he, not 0.0"):
        plugins.spec("method", f"{method}[prior_std=0]")
