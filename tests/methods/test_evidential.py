"""Evidential networks: losses against sampling and integration, draws against known moments."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor, nn
from torch.distributions import Dirichlet, StudentT, kl_divergence
from torch.nn.functional import one_hot

from bench_uq.api import Gaussian, Task
from bench_uq.methods._heads import numbers_of
from bench_uq.methods.evidential import (
    Evidential,
    concentration,
    kl_to_uniform,
    normal_inverse_gamma,
    squared_error,
    student_nll,
)

ALPHA = torch.tensor([[1.0, 1.0, 1.0], [1.5, 4.0, 9.0], [40.0, 1.0, 2.0]]).double()


def built(task: Task, spread: float = 5.0) -> nn.Module:
    """Return a network in float64 whose distributions differ from input to input."""
    torch.manual_seed(0)
    net = Evidential().build(task).double().eval()
    net.task = task
    with torch.no_grad():
        net.stages[-1].dense.weight.mul_(spread)
    return net


def test_squared_error_is_the_expected_one(agree):
    """The loss is the mean squared distance of draws from the Dirichlet to the true class."""
    torch.manual_seed(0)
    truth = one_hot(torch.tensor([0, 1, 2]), 3).double()
    draws = Dirichlet(ALPHA).sample((50_000,))
    agree((draws - truth).square().sum(-1), squared_error(ALPHA, truth))


def test_kl_to_uniform():
    """The KL is torch.distributions', and 0 without evidence."""
    expected = kl_divergence(Dirichlet(ALPHA), Dirichlet(torch.ones_like(ALPHA)))
    torch.testing.assert_close(kl_to_uniform(ALPHA), expected)
    assert kl_to_uniform(ALPHA)[0].item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("warmup", "share"), [(1.0, 0.25), (0.5, 0.5), (0.25, 1.0), (0.0, 1.0)])
def test_loss_of_classes(images, warmup, share):
    """The loss is squared error + weight * KL of the evidence of wrong classes, and the weight
    rises as a line over the warm-up: here at a quarter of the training.
    """
    net = built(images)
    inputs, targets = torch.rand(6, 1, 8, 8).double(), torch.arange(6)
    method = Evidential(kl_weight=0.3, kl_warmup=warmup)
    found = method.loss(net, inputs, targets, 6, 0.25)

    losses = []
    for alpha, target in zip(concentration(numbers_of(net, inputs)), targets, strict=True):
        wrong = alpha.clone()
        wrong[target] = 1
        kl = kl_divergence(Dirichlet(wrong), Dirichlet(torch.ones_like(wrong)))
        truth = one_hot(target, 10)
        losses.append(squared_error(alpha, truth) + 0.3 * share * kl)
    torch.testing.assert_close(found, torch.stack(losses).mean())


def test_draws_of_classes(images, agree):
    """Probabilities have the moments of the Dirichlet: means alpha / sum of alpha, the reported
    predictor, and its variances.
    """
    net, inputs = built(images, 50.0), torch.rand(3, 1, 8, 8).double()
    with torch.no_grad():
        expected = Dirichlet(concentration(numbers_of(net, inputs)))
        probs = Evidential().draws(net, inputs, 20_000).exp()

    torch.testing.assert_close(probs.sum(-1), torch.ones(20_000, 3).double())
    agree(probs, expected.mean)
    agree((probs - expected.mean).square(), expected.variance)
    assert expected.mean.amax(-1).min() > 0.2


def test_gradients_of_draws(images, agree):
    """Gradients of the mean of draws in the inputs tend to those of alpha / sum of alpha."""
    net, inputs = built(images), torch.rand(1, 1, 8, 8).double()
    shown = inputs.clone().requires_grad_()
    alpha = concentration(numbers_of(net, shown))
    (expected,) = torch.autograd.grad((alpha / alpha.sum(-1, keepdim=True))[0, 3], shown)

    torch.manual_seed(1)
    found = []
    for _ in range(300):
        shown = inputs.clone().requires_grad_()
        probs = Evidential().draws(net, shown, 20).exp()
        found += torch.autograd.grad(probs[:, 0, 3].mean(), shown)
    # A corner that no unit sees has none.
    seen = expected != 0
    assert seen.double().mean() > 0.9
    agree(torch.stack(found)[:, seen], expected[seen])


def numbers(gamma: float, nu: float, alpha: float, beta: float) -> Tensor:
    """Return outputs of the network that stand for these parameters."""
    inverse = [math.log(math.expm1(value)) for value in (nu, alpha - 1, beta)]
    return torch.tensor([[gamma, *inverse]]).double()


def by_integration(target: float, gamma: float, nu: float, alpha: float, beta: float) -> float:
    """Return the density of a target, integrated over means and log-variances by trapezoids."""
    log_variances, means = np.linspace(-8, 8, 161), np.linspace(-60, 60, 4801)
    inner = []
    for variance in np.exp(log_variances):
        of_target = stats.norm.pdf(target, means, variance**0.5)
        of_mean = stats.norm.pdf(means, gamma, (variance / nu) ** 0.5)
        # The last factor is the derivative of the variance in its logarithm.
        weight = stats.invgamma.pdf(variance, alpha, scale=beta) * variance
        inner.append(weight * integrate.trapezoid(of_target * of_mean, means))

    return float(integrate.trapezoid(inner, log_variances))


@pytest.mark.parametrize("target", [-2.0, 0.5, 4.0])
@pytest.mark.parametrize("parameters", [(0.3, 1.5, 2.0, 0.7), (-1.0, 0.2, 4.0, 3.0)])
def test_student_nll_against_integration(parameters, target):
    """The NLL is that of the integral of N(y; mean, variance) over the Normal-inverse-Gamma, and of
    the Student-t of 2 alpha degrees of freedom.
    """
    found = student_nll(numbers(*parameters), torch.tensor([target]).double())
    density = by_integration(target, *parameters)
    assert found.item() == pytest.approx(-math.log(density), abs=1e-3)

    gamma, nu, alpha, beta = parameters
    exact = stats.t(2 * alpha, gamma, math.sqrt(beta * (1 + nu) / (nu * alpha)))
    assert found.item() == pytest.approx(-exact.logpdf(target), abs=1e-4)


def test_loss_of_real_targets(features):
    """The loss is the NLL in nats of the targets' own units, and the weight times error times
    evidence on the standardised scale.
    """
    net = built(features)
    inputs, targets = torch.rand(6, 5).double(), 20 + 3 * torch.randn(6).double()
    mean, nu, alpha, beta = normal_inverse_gamma(numbers_of(net, inputs))
    scale = 3 * (beta * (1 + nu) / (nu * alpha)).sqrt()
    nll = -StudentT(2 * alpha, 20 + 3 * mean, scale).log_prob(targets)
    penalty = ((targets - 20) / 3 - mean).abs() * (2 * nu + alpha)

    found = Evidential(evidence_weight=0.2).loss(net, inputs, targets, 6, 0.0)
    torch.testing.assert_close(found, (nll + 0.2 * penalty).mean())


def test_draws_of_real_targets(features, agree):
    """The mean density of draws tends to that of the Student-t; means of draws scatter by the
    variance over nu.
    """
    net, inputs = built(features, 1.0), torch.rand(4, 5).double()
    with torch.no_grad():
        mean, nu, alpha, beta = normal_inverse_gamma(numbers_of(net, inputs))
        targets = 20 + 3 * (mean + torch.tensor([0.0, 0.5, -1.0, 2.0]))
        draws = Evidential().draws(net, inputs, 100_000)

    exact = StudentT(2 * alpha, 20 + 3 * mean, 3 * (beta * (1 + nu) / (nu * alpha)).sqrt())
    densities = features.likelihood.log_prob(draws, targets).exp()
    agree(densities, exact.log_prob(targets).exp())

    scattered = (draws[..., 0] - 20 - 3 * mean).square() * (-draws[..., 1]).exp()
    agree(scattered, 1 / nu)
    # The inverse of the variance is a Gamma with mean alpha / beta.
    agree((-draws[..., 1]).exp() * 9, alpha / beta)


def test_suits(features, images):
    """The method is for classes, and for real targets whose noise is not known: a known one would
    take the place of the variances that the loss has trained.
    """
    known = Task((5,), Gaussian(20.0, 3.0, 0.5), (0.5,) * 5, (0.3,) * 5)
    assert [Evidential().suits(task) for task in (features, known, images)] == [True, False, True]


@pytest.mark.parametrize(
    "options", [{"kl_weight": -0.1}, {"kl_warmup": 1.5}, {"evidence_weight": math.inf}]
)
def test_nonsense_is_refused(options):
    """Options without meaning are refused by name."""
    with pytest.raises(ValueError, match=next(iter(options))):
        Evidential(**options)
