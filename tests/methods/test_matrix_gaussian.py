"""Matrix Gaussian weights against explicit covariances, Monte Carlo and mean-field."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, kl_divergence
from torch.nn.functional import conv2d

from bench_uq.methods.matrix_gaussian import (
    MatrixConv2d,
    MatrixGaussian,
    MatrixLinear,
    MatrixWeights,
)
from bench_uq.methods.mean_field import MeanFieldLinear


def make(kind: str, rank: int = 2, **options: object) -> MatrixWeights:
    """Return a small layer of wide, correlated weights in float64."""
    torch.manual_seed(0)
    options = {"rank": rank, "start_log_variance": -1.0, **options}
    layer = MatrixLinear(3, 4, **options) if kind == "dense" else MatrixConv2d(2, 3, 2, **options)
    with torch.no_grad():
        for values in layer.parameters():
            values += 0.5 * torch.randn_like(values)
    return layer.double()


def covariance(layer: MatrixWeights) -> Tensor:
    """Covariance of the weights, one row after the other: the Kronecker product of V and U."""
    inputs = math.prod(layer.mean.shape[1:])
    parts = zip(
        layer.weight_log_variance.detach().split([inputs, len(layer.mean)]),
        layer.factors.detach().split([inputs, len(layer.mean)]),
        strict=True,
    )
    found = []
    for log_variance, factor in parts:
        std = torch.diag((0.5 * log_variance).exp())
        found.append(std @ (torch.eye(len(std)).double() + factor @ factor.T) @ std)
    return torch.kron(found[1], found[0])


def explicit(layer: MatrixWeights, count: int) -> Tensor:
    """Draw weights from their joint Gaussian, (count, *shape)."""
    law = MultivariateNormal(layer.mean.detach().flatten(), covariance(layer))
    return law.sample((count,)).reshape(count, *layer.mean.shape)


@pytest.mark.parametrize("kind", ["dense", "conv"])
@pytest.mark.parametrize("rank", [0, 1, 3])
@pytest.mark.parametrize("prior_std", [1.0, 0.3])
def test_kl_is_that_of_the_joint_gaussian(kind: str, rank: int, prior_std: float) -> None:
    """kl() is torch's KL of the Gaussian over all weights, plus that of the biases."""
    layer = make(kind, rank, prior_std=prior_std)
    dim = layer.mean.numel()
    law = MultivariateNormal(layer.mean.flatten(), covariance(layer))
    prior = MultivariateNormal(torch.zeros(dim).double(), prior_std**2 * torch.eye(dim).double())
    torch.testing.assert_close(layer.kl() - layer.bias_kl(), kl_divergence(law, prior))


def test_kl_is_that_of_monte_carlo(agree) -> None:
    """kl() is the mean of log q(W) - log p(W) over explicit weights."""
    layer = make("dense", bias=False)
    weights = explicit(layer, 50_000).flatten(1)
    law = MultivariateNormal(layer.mean.detach().flatten(), covariance(layer))
    log_p = torch.distributions.Normal(0.0, 1.0).log_prob(weights).sum(1)
    agree(law.log_prob(weights) - log_p, layer.kl().item())


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_outputs_are_those_of_explicit_weights(kind: str) -> None:
    """Outputs have the mean and the covariance, over units and positions, of explicit weights."""
    layer = make(kind)
    shape, count = ((3,), 40_000) if kind == "dense" else ((2, 3, 3), 12_000)
    inputs = torch.randn(1, *shape).double()
    weights = explicit(layer, count)
    noise = torch.randn(count, len(layer.mean)).double()
    biases = layer.bias_mean + (0.5 * layer.bias_log_variance).exp() * noise

    with torch.no_grad():
        if kind == "dense":
            outputs, wanted = layer(inputs.expand(count, -1)), weights @ inputs[0] + biases
        else:
            outputs = torch.cat([layer(inputs) for _ in range(count)]).flatten(1)
            wanted = conv2d(inputs, weights.flatten(0, 1)).unflatten(1, (count, -1))[0]
            wanted = (wanted + biases[..., None, None]).flatten(1)

    ours, theirs = outputs - wanted.mean(0), wanted - wanted.mean(0)
    error = (ours.var(0) / count + theirs.var(0) / count).sqrt()
    assert (ours.mean(0).abs() / error).max() < 5
    own, other = (each.unsqueeze(1) * each.unsqueeze(2) for each in (ours, theirs))
    error = (own.var(0) / count + other.var(0) / count).sqrt()
    assert ((own.mean(0) - other.mean(0)).abs() / error).max() < 5
    assert theirs.T.corrcoef().fill_diagonal_(0).abs().max() > 0.2, "nothing is correlated"


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_examples_of_a_batch_are_uncorrelated(kind: str, agree) -> None:
    """Two equal examples have deviations without correlation."""
    layer = make(kind)
    inputs = torch.randn(1, *((3,) if kind == "dense" else (2, 3, 3))).double()
    same = torch.cat([inputs, inputs])
    with torch.no_grad():
        outputs = torch.stack([layer(same).flatten(1) for _ in range(4_000)])
    centred = outputs - outputs.mean(0)
    agree(centred[:, 0] * centred[:, 1], 0.0)


def test_diagonal_covariances_are_mean_field(agree) -> None:
    """With diagonal U and V the KL is mean-field's of the variances u_j v_i, and so are the moments
    of the outputs.
    """
    layer, field = make("dense", 0), MeanFieldLinear(3, 4, max_std=math.inf).double()
    rows, columns = layer.weight_log_variance.detach().split([3, 4])
    with torch.no_grad():
        field.mean.copy_(layer.mean)
        field.weight_log_variance.copy_(columns.unsqueeze(1) + rows)
        field.bias_mean.copy_(layer.bias_mean)
        field.bias_log_variance.copy_(layer.bias_log_variance)
    torch.testing.assert_close(layer.kl(), field.kl())

    inputs = torch.randn(1, 3).double()
    mean = nn.functional.linear(inputs, field.mean, field.bias_mean)[0]
    variance = nn.functional.linear(
        inputs.square(), field.weight_log_variance.exp(), field.bias_log_variance.exp()
    )[0]
    with torch.no_grad():
        outputs = layer(inputs.expand(40_000, -1))
    agree(outputs, mean)
    agree((outputs - mean).square(), variance)


def test_no_input_has_finite_gradients() -> None:
    """Inputs of zero give outputs of the biases alone, and finite gradients."""
    layer = MatrixLinear(3, 2, bias=False)
    outputs = layer(torch.zeros(4, 3))
    outputs.sum().backward()
    assert outputs.abs().max() < 1e-6
    assert all(values.grad.isfinite().all() for values in layer.parameters())


def test_variances_have_a_rate_of_their_own(images) -> None:
    """The log-variances of U and V are trained at variance_rate, the correlations are not."""
    method = MatrixGaussian(variance_rate=0.05)
    net = method.build(images)
    others, variances = (group["params"] for group in method.optimiser(net).param_groups)
    names = {id(values): name for name, values in net.named_parameters()}
    assert all(names[id(values)].endswith("log_variance") for values in variances)
    assert not any(names[id(values)].endswith("log_variance") for values in others)


def test_nonsense_is_refused() -> None:
    """A rank is at least 0."""
    with pytest.raises(ValueError, match="rank"):
        MatrixGaussian(rank=-1)
