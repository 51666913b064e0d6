"""Radial weights, their outputs and their KL against explicit weights and numerical integrals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from torch import Tensor

from bench_uq.methods.radial import RadialConv2d, RadialLinear, RadialWeights, constant


def make(kind: str, **options: object) -> RadialWeights:
    """Return a small layer of wide weights in float64."""
    torch.manual_seed(0)
    options = {"start_log_variance": -1.4, "max_std": math.inf, **options}
    layer = RadialLinear(3, 2, **options) if kind == "dense" else RadialConv2d(2, 3, 2, **options)
    with torch.no_grad():
        for values in layer.parameters():
            values += 0.4 * torch.randn_like(values)
    return layer.double()


def explicit(layer: RadialWeights, count: int) -> Tensor:
    """Draw weights by the definition, (count, *shape): μ + sqrt(D) σ ε / ||ε|| r."""
    noise = torch.randn(count, layer.mean.numel()).double()
    direction = noise / noise.norm(dim=1, keepdim=True) * torch.randn(count, 1).double()
    scale = math.sqrt(layer.mean.numel()) * (0.5 * layer.log_variance.detach()).exp()
    return layer.mean.detach() + scale * direction.reshape(count, *layer.mean.shape)


def log_density(offsets: Tensor) -> Tensor:
    """Log-density of v = ε / ||ε|| r at rows (N, D): its radius is half-normal, and its direction
    uniform on the sphere.
    """
    dim, radius = offsets.shape[1], offsets.norm(dim=1)
    log_area = math.log(2 * math.pi ** (dim / 2)) - special.gammaln(dim / 2)
    of_radius = torch.from_numpy(stats.halfnorm.logpdf(radius.numpy()))
    return of_radius - log_area - (dim - 1) * radius.log()


@pytest.mark.parametrize("dim", [1, 2, 3, 10, 100])
def test_constant_is_the_integral(dim: int) -> None:
    """The constant is KL(radial || Gaussian of the same variances), integrated over the radius."""

    def integrand(radius: float) -> float:
        log_q = log_density(torch.tensor([[radius] + [0.0] * (dim - 1)]).double()).item()
        log_p = stats.norm.logpdf(radius, scale=dim**-0.5)
        log_p += (dim - 1) * stats.norm.logpdf(0, scale=dim**-0.5)
        return stats.halfnorm.pdf(radius) * (log_q - log_p)

    value, error = integrate.quad(integrand, 0, 12, limit=200)
    assert error < 1e-6
    assert constant(dim) == pytest.approx(value, abs=1e-5)
    assert constant(dim) >= -1e-12


def test_constant_of_many_weights() -> None:
    """It is 0 for one weight, which is Gaussian, and (Euler's γ + log 2) / 2 nats each of many."""
    assert constant(1) == pytest.approx(0, abs=1e-12)
    assert constant(10**6) / 10**6 == pytest.approx((np.euler_gamma + math.log(2)) / 2, rel=1e-4)


@pytest.mark.parametrize("kind", ["dense", "conv"])
@pytest.mark.parametrize("prior_std", [1.0, 0.4])
def test_kl_is_that_of_monte_carlo(kind: str, prior_std: float, agree) -> None:
    """kl() is the mean of log q(w) - log p(w) over explicit weights."""
    layer = make(kind, prior_std=prior_std, bias=False)
    weights = explicit(layer, 200_000).flatten(1)
    std = (0.5 * layer.log_variance.detach()).exp().flatten() * math.sqrt(layer.mean.numel())
    log_q = log_density((weights - layer.mean.detach().flatten()) / std) - std.log().sum()
    log_p = torch.distributions.Normal(0.0, prior_std).log_prob(weights).sum(1)
    agree(log_q - log_p, layer.kl().item())


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_outputs_are_those_of_explicit_weights(kind: str, agree) -> None:
    """Outputs have the mean, the covariance and the products of squares of explicit weights.

    The radius is one for the layer: where one output is far from its mean, so are the others.
    """
    layer = make(kind)
    count = 60_000 if kind == "dense" else 15_000
    inputs = torch.randn(1, *((3,) if kind == "dense" else (2, 3, 3))).double()
    weights, biases = explicit(layer, count), torch.randn(count, len(layer.mean)).double()
    biases = layer.bias_mean + (0.5 * layer.bias_log_variance).exp() * biases

    with torch.no_grad():
        if kind == "dense":
            outputs = layer(inputs.expand(count, -1))
            wanted = (weights @ inputs[0]) + biases
        else:
            outputs = torch.cat([layer(inputs) for _ in range(count)]).flatten(2)
            patches = torch.nn.functional.unfold(inputs, 2)[0]
            wanted = weights.flatten(2) @ patches + biases.unsqueeze(2)

    ours, theirs = (each.flatten(1) - wanted.mean(0).flatten() for each in (outputs, wanted))
    for power in (1, 2):
        own = ours.pow(power).unsqueeze(1) * ours.pow(power).unsqueeze(2)
        other = theirs.pow(power).unsqueeze(1) * theirs.pow(power).unsqueeze(2)
        error = (own.var(0) / count + other.var(0) / count).sqrt()
        assert ((own.mean(0) - other.mean(0)).abs() / error).max() < 5
    agree(outputs.flatten(1), wanted.mean(0).flatten())


def test_radius_is_half_normal() -> None:
    """The norm of all deviations is a half-normal number, however many weights there are."""
    torch.manual_seed(1)
    # Of one input, the outputs are all the weights.
    dense = RadialLinear(1, 4, bias=False)
    radii = dense.direction(4000).norm(dim=1) / 2
    assert stats.kstest(radii.numpy(), "halfnorm").pvalue > 1e-4

    conv = RadialConv2d(3, 8, 5, bias=False, start_log_variance=0.0, max_std=math.inf)
    with torch.no_grad():
        conv.weight_log_variance.fill_(0.0)
        norms = [conv.deviation().norm().item() for _ in range(5)]
        factors = conv.scaled(torch.ones(4000, 1, 1, 1)).flatten()
    assert norms == pytest.approx([math.sqrt(600)] * 5, rel=1e-5)
    assert stats.kstest(factors.numpy(), "norm").pvalue > 1e-4


def test_directions_are_of_the_whole_layer() -> None:
    """What the outputs see is a part of a random unit vector over all weights, times r."""
    torch.manual_seed(1)
    dense = RadialLinear(2, 3, bias=False).double()
    found = dense.direction(20_000)

    noise = torch.randn(20_000, 6).double()
    unit = noise / noise.norm(dim=1, keepdim=True) * math.sqrt(6)
    wanted = unit[:, :3] * torch.randn(20_000, 1).double()
    for size in (lambda rows: rows.norm(dim=1), lambda rows: rows.prod(1)):
        assert stats.ks_2samp(size(found).numpy(), size(wanted).numpy()).pvalue > 1e-4


def test_no_input_has_finite_gradients() -> None:
    """Inputs of zero give outputs of the biases alone, and finite gradients."""
    layer = RadialLinear(3, 2, bias=False)
    outputs = layer(torch.zeros(4, 3))
    outputs.sum().backward()
    assert outputs.abs().max() < 1e-6
    assert all(values.grad.isfinite().all() for values in layer.parameters())
