"""Draws of whole weights: the moments of outputs drawn alone, and the weights of explicit loops."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from bench_uq.api import Method, Task
from bench_uq.methods._gaussian import GaussianWeights, draws_of_weights, whole_weights
from bench_uq.methods.mean_field import MeanField, MeanFieldConv2d, MeanFieldLinear
from bench_uq.methods.mnf import MNF, MNFConv2d, MNFLinear

KINDS = [MeanField, MNF]
COUNT = 4000
#: Variances large enough to be seen, and no cap.
OPTIONS = {"start_log_variance": -2.0, "max_std": float("inf")}


def drawn(layer: nn.Module, inputs: Tensor, *, whole: bool) -> Tensor:
    """Outputs (COUNT, ...) of one example, under weights for each or noise for each output."""
    torch.manual_seed(0)
    with torch.no_grad():
        if not whole:
            return layer(inputs.expand(COUNT, *inputs.shape[1:]))
        with whole_weights(layer):
            return torch.cat([layer(inputs) for _ in range(COUNT)])


@pytest.mark.parametrize("kind", [MeanFieldLinear, MNFLinear])
def test_a_dense_layer_has_the_same_moments(kind: Callable[..., GaussianWeights]) -> None:
    """Of one example, outputs drawn alone are outputs under drawn weights: the same mean and
    covariance.
    """
    torch.manual_seed(1)
    layer, inputs = kind(3, 2, **OPTIONS).eval(), torch.randn(1, 3)
    one, other = (drawn(layer, inputs, whole=whole) for whole in (True, False))

    error = (one.var(0) / COUNT + other.var(0) / COUNT).sqrt()
    assert ((one.mean(0) - other.mean(0)).abs() < 4 * error).all()
    torch.testing.assert_close(one.T.cov(), other.T.cov(), rtol=0.15, atol=0.05)


def test_examples_share_the_weights() -> None:
    """Two equal examples of a batch differ under noise for each, and not under shared weights."""
    layer = MeanFieldLinear(3, 2, **OPTIONS)
    inputs = torch.randn(1, 3).expand(2, 3)
    with whole_weights(layer):
        first, second = layer(inputs)
        assert first.equal(second)
    first, second = layer(inputs)
    assert not first.equal(second)


@pytest.mark.parametrize("kind", [MeanFieldConv2d, MNFConv2d])
def test_a_convolution_is_that_of_drawn_kernels(kind: Callable[..., GaussianWeights]) -> None:
    """The outputs are those of torch's convolution with each kernel that is drawn, drawn here from
    the parameters alone.
    """
    torch.manual_seed(2)
    layer, inputs = kind(2, 3, 2, **OPTIONS).eval(), torch.randn(1, 2, 4, 4)
    with torch.no_grad(), whole_weights(layer):
        torch.manual_seed(3)
        outputs = torch.cat([layer(inputs) for _ in range(5)])

        torch.manual_seed(3)
        expected = []
        for _ in range(5):
            mean = layer.mean
            if isinstance(layer, MNFConv2d):
                mean = mean * layer.sample_z(1).reshape(3, 1, 1, 1)
            std = (layer.weight_log_variance / 2).exp()
            kernel = mean + std * torch.randn(3, 2, 2, 2)
            bias = layer.bias_mean + (layer.bias_log_variance / 2).exp() * torch.randn(3)
            expected.append(conv2d(inputs, kernel, bias))
    torch.testing.assert_close(outputs, torch.cat(expected))


def test_positions_are_correlated_by_shared_kernels() -> None:
    """Under drawn kernels the outputs at two positions have the covariance of their inputs; alone
    they have none, and the same variances.
    """
    torch.manual_seed(4)
    layer, inputs = MeanFieldConv2d(1, 1, 1, **OPTIONS), torch.tensor([[[[1.0, 2.0]]]])
    variance, of_bias = layer.log_variance.exp().item(), layer.bias_variance.item()
    one, other = (drawn(layer, inputs, whole=whole)[:, 0, 0] for whole in (True, False))

    variances = torch.tensor([variance + of_bias, 4 * variance + of_bias])
    torch.testing.assert_close(one.var(0), variances, rtol=0.1, atol=0)
    torch.testing.assert_close(other.var(0), variances, rtol=0.1, atol=0)
    assert one.T.cov()[0, 1].item() == pytest.approx(2 * variance + of_bias, rel=0.1)
    assert abs(other.T.cov()[0, 1].item()) < 0.1 * variance


@pytest.mark.parametrize("kind", KINDS)
def test_only_predictions_differ(kind: type[Method], images: Task) -> None:
    """The option changes draws, and neither the network nor the loss; layers forget it after."""
    inputs, targets = torch.rand(4, 1, 8, 8), torch.arange(4)
    nets, losses = [], []
    for sampling in ("outputs", "weights"):
        torch.manual_seed(0)
        method = kind(sampling=sampling)
        net = method.build(images)
        net.task = images
        losses.append(method.loss(net, inputs, targets, 4, 0.0))
        nets.append(net)

    assert losses[0].equal(losses[1])
    torch.manual_seed(0)
    draws = kind(sampling="weights").draws(nets[0], inputs, 3)
    torch.manual_seed(0)
    assert draws.equal(draws_of_weights(nets[1], inputs, 3))
    torch.manual_seed(0)
    assert not draws.equal(kind().draws(nets[0], inputs, 3))
    assert draws.shape == (3, 4, 10)
    layers = [layer for layer in nets[0].modules() if isinstance(layer, GaussianWeights)]
    assert layers
    assert not any(layer.whole for layer in layers)
