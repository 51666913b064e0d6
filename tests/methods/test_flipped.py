"""Convolutions under one kernel for each example, against kernels drawn explicitly."""

from __future__ import annotations

import torch
from torch.nn.functional import conv2d

from bench_uq.methods._flipped import FlippedConvolution, flipped


def wide() -> FlippedConvolution:
    """Return a small convolution of wide weights and biases in float64."""
    torch.manual_seed(0)
    layer = FlippedConvolution(2, 3, 2, start_log_variance=-1.4, max_std=0.5).double()
    with torch.no_grad():
        layer.weight_log_variance -= torch.rand_like(layer.mean)
        layer.bias_mean += torch.randn(3)
        layer.bias_log_variance += 2 * torch.rand(3)
    return layer


def test_all_positions_see_one_kernel(agree) -> None:
    """The outputs of an example, at all channels and positions, have the mean and covariance of
    those of explicit kernels.
    """
    layer = wide()
    inputs = torch.randn(1, 2, 3, 3).double()
    with torch.no_grad():
        outputs = torch.cat([layer(inputs) for _ in range(20_000)]).flatten(1)

        kernels = torch.randn(20_000, *layer.mean.shape).double()
        kernels = layer.mean + (0.5 * layer.log_variance).exp() * kernels
        biases = layer.bias_mean + layer.bias_variance.sqrt() * torch.randn(20_000, 3).double()
        explicit = conv2d(inputs, kernels.flatten(0, 1)).unflatten(1, (20_000, 3))[0]
        explicit = (explicit + biases[..., None, None]).flatten(1)

    mean = explicit.mean(0)
    agree(outputs, mean)
    products = (outputs - mean).unsqueeze(1) * (outputs - mean).unsqueeze(2)
    # Both sides are estimates.
    difference = products - explicit.T.cov().unsqueeze(0)
    error = 2 * difference.std(0) / 20_000**0.5
    assert (difference.mean(0).abs() / error).max() < 5
    assert explicit.T.corrcoef()[0, 1].abs() > 0.1, "positions are correlated"


def test_examples_of_a_batch_are_uncorrelated(agree) -> None:
    """Two equal examples have deviations without correlation."""
    layer = wide()
    inputs = torch.randn(1, 2, 3, 3).double().expand(2, -1, -1, -1)
    with torch.no_grad():
        outputs = torch.stack([layer(inputs).flatten(1) for _ in range(5_000)])
    centred = outputs - outputs.mean(0)
    agree(centred[:, 0] * centred[:, 1], 0.0)


def test_signs_are_fair_and_by_channel() -> None:
    """Half of the signs are negative, and all positions of a channel share theirs."""
    torch.manual_seed(0)
    signs = flipped(torch.ones(1000, 4, 2, 2))
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(signs, signs[..., :1, :1].expand_as(signs))
    assert abs(signs.mean()) < 0.06
