"""Maximum a posteriori: the prior in the gradient."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal

from bench_uq.methods.map import MAP


@pytest.mark.parametrize("prior_std", [1.0, 0.2])
@pytest.mark.parametrize("size", [1, 50])
def test_gradient(images, prior_std, size):
    """The gradient of the loss is that of the NLL plus w / (N prior_std^2), in every weight and
    bias.
    """
    torch.manual_seed(0)
    method = MAP(prior_std=prior_std)
    net = method.build(images).double()
    inputs, targets = torch.rand(4, 1, 8, 8).double(), torch.arange(4)

    found = torch.autograd.grad(method.loss(net, inputs, targets, size, 0.0), net.parameters())
    nll = torch.nn.functional.cross_entropy(net(inputs), targets)
    expected = tuple(
        gradient + weights.detach() / (size * prior_std**2)
        for gradient, weights in zip(
            torch.autograd.grad(nll, net.parameters()), net.parameters(), strict=True
        )
    )

    torch.testing.assert_close(found, expected)


def test_loss_is_the_negative_log_posterior(features):
    """Losses of two sets of weights differ by their negative log posteriors over N."""
    torch.manual_seed(0)
    method = MAP(prior_std=0.5)
    inputs, targets = torch.rand(7, 5).double(), 20 + torch.randn(7).double()
    losses, posteriors = [], []
    for _ in range(2):
        net = method.build(features).double()
        losses.append(method.loss(net, inputs, targets, 7, 0.0))
        log_prior = sum(Normal(0.0, 0.5).log_prob(weights).sum() for weights in net.parameters())
        posteriors.append(features.likelihood.log_prob(net(inputs), targets).sum() + log_prior)
    torch.testing.assert_close(losses[0] - losses[1], (posteriors[1] - posteriors[0]) / 7)


def test_one_draw(images):
    """A deterministic network has one draw, its log-softmax, however many are asked for."""
    torch.manual_seed(0)
    net = MAP().build(images).eval()
    inputs = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(MAP().draws(net, inputs, 50), net(inputs).log_softmax(-1)[None])
