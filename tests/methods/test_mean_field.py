"""Mean-field layers and their KL against closed forms, quadrature and explicit weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import integrate, special
from torch import nn
from torch.distributions import Normal, kl_divergence

from bench_uq.methods.mean_field import MeanField, MeanFieldConv2d, MeanFieldLinear, log_uniform_kl

MAKERS: dict[str, Callable[..., nn.Module]] = {
    "dense": lambda **options: MeanFieldLinear(3, 2, **options),
    "conv": lambda **options: MeanFieldConv2d(2, 3, 2, **options),
}
INPUTS = {"dense": (3,), "conv": (2, 3, 3)}


def make(kind: str, **options: object) -> nn.Module:
    """Return a small layer of wide weights in float64."""
    torch.manual_seed(0)
    layer = MAKERS[kind](**{"start_log_variance": -1.0, "max_std": math.inf, **options}).double()
    with torch.no_grad():
        for values in layer.parameters():
            values += 0.4 * torch.randn_like(values)
    return layer


def log_uniform_kl_by_quadrature(alpha: float) -> tuple[float, float]:
    """Return KL(N(1, alpha) || log-uniform) with the constant that sends it to 0 for large alpha, and the error.

    -1/2 log alpha + E log|e| + (gamma + log 2) / 2, e ~ N(1, alpha): Kingma et al. 2015, eq. 33, integrated over
    u = log|e|, where nothing is singular.
    """
    std = math.sqrt(alpha)

    def integrand(u: float) -> float:
        """Return the density of u = log|e|, times u."""
        e = math.exp(u)
        densities = (math.exp(-0.5 * ((sign * e - 1) / std) ** 2) for sign in (-1, 1))
        return u * e * sum(densities) / (std * math.sqrt(2 * math.pi))

    cuts = [
        math.log(abs(1 + k * std)) for k in (-12, -3, -1, 0, 1, 3, 12) if abs(1 + k * std) > 1e-12
    ]
    edges = [-60.0, *sorted(cuts)]
    parts = [integrate.quad(integrand, *pair, limit=200) for pair in itertools.pairwise(edges)]
    value = (
        sum(part[0] for part in parts) - 0.5 * math.log(alpha) + (np.euler_gamma + math.log(2)) / 2
    )
    return value, sum(part[1] for part in parts)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("prior_std", [1.0, 0.3])
@pytest.mark.parametrize("bias", [True, False])
def test_normal_kl(kind, prior_std, bias):
    """The KL to the normal prior is torch.distributions', over weights and biases."""
    layer = make(kind, prior_std=prior_std, bias=bias)
    prior = Normal(torch.tensor(0.0).double(), prior_std)
    expected = kl_divergence(Normal(layer.mean, (0.5 * layer.log_variance).exp()), prior).sum()
    if bias:
        expected = (
            expected
            + kl_divergence(
                Normal(layer.bias_mean, (0.5 * layer.bias_log_variance).exp()), prior
            ).sum()
        )
    torch.testing.assert_close(layer.kl(), expected)


@pytest.mark.parametrize("kind", MAKERS)
def test_normal_kl_is_zero_at_the_prior(kind):
    """A posterior that is the prior has a KL of 0."""
    layer = make(kind, prior_std=0.7)
    with torch.no_grad():
        for name, values in layer.named_parameters():
            values.fill_(2 * math.log(0.7) if "log_variance" in name else 0)
    assert layer.kl().item() == pytest.approx(0, abs=1e-12)


def test_log_uniform_kl_against_quadrature():
    """The KL to the log-uniform prior is as near to the integral as it says, over alpha from e^-12
    to e^12.
    """
    log_alphas = np.linspace(-12, 12, 97)
    errors = []
    for log_alpha in log_alphas:
        exact, error = log_uniform_kl_by_quadrature(math.exp(log_alpha))
        assert error < 1e-4
        ours = log_uniform_kl(
            torch.tensor([3.0]).double(), torch.tensor([log_alpha + 2 * math.log(3)]).double()
        )
        errors.append(ours.item() - exact)
    assert 0.0093 < np.abs(errors).max() < 0.0094
    assert math.exp(log_alphas[np.argmax(np.abs(errors))]) == pytest.approx(0.03, abs=0.005)
    assert abs(errors[-1]) < 1e-3, "the constant"


def test_quadrature_against_a_closed_form():
    """The oracle's E log|e| of a Gaussian of mean 0 is -(gamma + log 2) / 2: at a huge alpha its KL
    is 0.
    """
    value, _ = log_uniform_kl_by_quadrature(math.exp(20))
    assert value == pytest.approx(0, abs=1e-4)
    assert special.digamma(0.5) / 2 + math.log(2) / 2 == pytest.approx(
        -(np.euler_gamma + math.log(2)) / 2
    )


def test_log_uniform_kl_sums_and_depends_on_alpha_alone():
    """The KL to the log-uniform prior is a sum over weights that scaling all of them leaves alone,
    and above 0.
    """
    mean, log_variance = torch.randn(2, 50, generator=torch.Generator().manual_seed(0)).double()
    each = torch.stack(
        [log_uniform_kl(*pair) for pair in zip(mean.split(1), log_variance.split(1), strict=True)]
    )
    torch.testing.assert_close(log_uniform_kl(mean, log_variance), each.sum())
    torch.testing.assert_close(
        log_uniform_kl(10 * mean, log_variance + 2 * math.log(10)), each.sum()
    )
    assert each.min() > 0


def test_log_uniform_kl_at_zero():
    """Means of exactly 0 have a finite KL and finite gradients, in float32."""
    mean, log_variance = (
        torch.zeros(3, requires_grad=True),
        torch.full((3,), -9.0, requires_grad=True),
    )
    value = log_uniform_kl(mean, log_variance)
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-5)
    assert mean.grad.isfinite().all()
    assert log_variance.grad.isfinite().all()


@pytest.mark.parametrize("kind", MAKERS)
def test_prior_is_that_of_the_options(kind):
    """A layer of the log-uniform prior sums that KL over its weights; its biases keep the normal
    prior.
    """
    layer = make(kind, prior="log-uniform", prior_std=0.5)
    biases = Normal(layer.bias_mean, (0.5 * layer.bias_log_variance).exp())
    expected = log_uniform_kl(layer.mean, layer.log_variance)
    expected = (
        expected + kl_divergence(biases, Normal(torch.zeros_like(layer.bias_mean), 0.5)).sum()
    )
    torch.testing.assert_close(layer.kl(), expected)


def test_options_reach_the_layers(images):
    """Prior, start and cap of the method are those of every layer that it builds."""
    method = MeanField(prior="log-uniform", prior_std=0.3, start_log_variance=-5.0, max_std=0.2)
    layers = [layer for layer in method.build(images).modules() if hasattr(layer, "kl")]
    assert len(layers) == 4
    for layer in layers:
        assert (layer.prior, layer.prior_std) == ("log-uniform", 0.3)
        assert layer.max_log_variance == pytest.approx(2 * math.log(0.2))
        assert layer.log_variance.mean().item() == pytest.approx(-5, abs=1e-3)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("bias", [True, False])
def test_output_moments(kind, bias, agree):
    """Outputs have the mean and variance of explicit weights at each position; units of a dense layer also their
    covariance, which is 0.
    """
    layer = make(kind, bias=bias)
    inputs = torch.randn(1, *INPUTS[kind], dtype=torch.float64)
    patches = inputs.T if kind == "dense" else nn.functional.unfold(inputs, 2)[0]

    with torch.no_grad():
        outputs = layer(inputs.expand(50_000, *INPUTS[kind]))
        weights = Normal(layer.mean, (0.5 * layer.log_variance).exp()).sample((200_000,)).flatten(2)
        explicit = weights @ patches
        if bias:
            biases = Normal(layer.bias_mean, (0.5 * layer.bias_log_variance).exp())
            explicit = explicit + biases.sample((200_000,)).unsqueeze(-1)

    if kind == "dense":
        centred = outputs - explicit.mean(0).squeeze(-1)
        agree(centred[:, 0] * centred[:, 1], 0.0)
    outputs = outputs.reshape(len(outputs), *explicit.shape[1:])
    agree(outputs, explicit.mean(0))
    agree((outputs - explicit.mean(0)).square(), explicit.var(0))


@pytest.mark.parametrize("kind", MAKERS)
def test_noise_is_per_example(kind):
    """Equal examples of a batch have unequal weights."""
    outputs = make(kind)(torch.ones(5, *INPUTS[kind]).double()).flatten(1)
    assert torch.pdist(outputs).min() > 1e-3


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("channels_last", [False, True])
def test_memory_format_changes_no_distribution(kind, channels_last, agree):
    """Outputs in either memory format have the same mean and variance, for each channel and
    position alike.
    """
    layer = make(kind)
    torch.manual_seed(2)
    inputs = torch.randn(1, *INPUTS[kind], dtype=torch.float64)
    operation = nn.functional.linear if kind == "dense" else nn.functional.conv2d
    many = inputs.expand(20_000, *INPUTS[kind])
    if channels_last and kind == "conv":
        many = many.contiguous(memory_format=torch.channels_last)
        layer = layer.to(memory_format=torch.channels_last)

    with torch.no_grad():
        outputs = layer(many)
        mean = operation(inputs, layer.mean, layer.bias_mean)[0]
        variance = operation(
            inputs.square(), layer.log_variance.exp(), layer.bias_log_variance.exp()
        )[0]

    agree(outputs, mean)
    agree((outputs - mean).square(), variance)
    if kind == "conv":
        noise = (outputs - mean).flatten(1)
        agree(noise[:, 0] * noise[:, 1], 0.0)  # two positions of a map: the usual approximation


@pytest.mark.parametrize("kind", MAKERS)
def test_without_bias_and_input(kind):
    """Without biases, inputs of zero give outputs of zero and finite gradients."""
    layer = MAKERS[kind](bias=False)
    outputs = layer(torch.zeros(4, *INPUTS[kind]))
    outputs.sum().backward()
    assert outputs.abs().max() < 1e-6
    assert all(values.grad.isfinite().all() for values in layer.parameters())
    assert not any("bias" in name for name, _ in layer.named_parameters())


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("prior", ["normal", "log-uniform"])
def test_cap_holds_in_outputs_and_kl(kind, prior):
    """A standard deviation above max_std is max_std in the outputs, and in the KL; biases have no
    cap.
    """
    layer, capped = (make(kind, max_std=0.5, prior=prior) for _ in range(2))
    with torch.no_grad():
        layer.weight_log_variance.fill_(3)
        capped.weight_log_variance.fill_(2 * math.log(0.5))
        for each in (layer, capped):
            each.bias_log_variance.fill_(4)
    results = []
    for each in (layer, capped):
        torch.manual_seed(4)
        results.append((each(torch.ones(500, *INPUTS[kind]).double()), each.kl()))
    torch.testing.assert_close(*results, rtol=1e-12, atol=0)
    assert results[0][0].flatten(2 if kind == "conv" else 1).var(0).min() > math.exp(4) * 0.7
