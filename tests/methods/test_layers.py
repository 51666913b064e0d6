"""The variational layers in place of torch's own: strides, paddings, leading axes, and the cap of
the variances.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from bench_uq.api.errors import UsageError
from bench_uq.api.layers import layers_of
from bench_uq.methods._gaussian import Perturbed, squared
from bench_uq.methods.mean_field import MeanFieldConv2d, MeanFieldLinear
from bench_uq.methods.mnf import MNFConv2d, MNFLinear
from bench_uq.plan.plugins import Plugins


@pytest.mark.parametrize("layer", [MeanFieldConv2d, MNFConv2d])
def test_strides_and_paddings(layer) -> None:
    """With variances of next to nothing a convolution is that of its means, scaled by z, at any
    stride and padding.
    """
    torch.manual_seed(0)
    options = {"flows": 0, "z_variance": 1e-30} if layer is MNFConv2d else {}
    made = layer(2, 3, (3, 2), stride=2, padding=1, start_log_variance=-80.0, **options)
    made.bias_log_variance.data.fill_(-80.0)
    inputs = torch.rand(4, 2, 9, 8)
    torch.testing.assert_close(made(inputs), conv2d(inputs, made.mean, made.bias_mean, 2, 1))


def test_one_z_an_example_over_leading_axes() -> None:
    """A dense layer on (B, T, in) shares z and nothing else among the T rows of an example."""
    torch.manual_seed(0)
    layer = MNFLinear(5, 2, start_log_variance=-80.0)
    layer.bias_log_variance.data.fill_(-80.0)
    outputs = layer(torch.ones(3, 3, 5))
    torch.testing.assert_close(outputs[:, 0], outputs[:, 1])
    assert (outputs[0, 0] - outputs[1, 0]).abs().min() > 1e-3


def test_without_a_batch() -> None:
    """One example without a batch axis gives one output without it, as torch's layers do."""
    assert MNFLinear(4, 3)(torch.rand(4)).shape == (3,)
    assert MNFConv2d(2, 5, 3)(torch.rand(2, 8, 8)).shape == (5, 6, 6)


def test_second_derivatives_are_refused() -> None:
    """A second derivative, which the layers cannot give, is an error and never a wrong number."""
    variance = torch.tensor(0.7, requires_grad=True)
    drawn = Perturbed.apply(torch.tensor(0.0), variance, torch.tensor(1.0))[0]
    (first,) = torch.autograd.grad(drawn.square(), variance, create_graph=True)
    with pytest.raises(RuntimeError, match="differentia"):
        torch.autograd.grad(first, variance)


def test_a_capped_variance_can_come_down_again() -> None:
    """A variance that a step led above its cap is put back to it and follows the next gradient
    down.
    """
    torch.manual_seed(0)
    layer = MeanFieldLinear(3, 2, max_std=0.5, start_log_variance=-2.0)
    layer.weight_log_variance.data.fill_(1.0)
    assert torch.allclose(layer.log_variance.exp().sqrt(), torch.tensor(0.5))
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.1)
    layer.log_variance.sum().backward()
    optimiser.step()
    assert torch.allclose(layer.log_variance, torch.tensor(2 * math.log(0.5) - 0.1))


def test_noise_is_differentiated_right() -> None:
    """The gradients of a draw in its mean and variance are those of mean + sqrt(variance) noise."""
    mean, variance = (torch.rand(3, 4, dtype=torch.double, requires_grad=True) for _ in range(2))
    noise = torch.randn(3, 4, dtype=torch.double)
    drawn = Perturbed.apply(mean, variance, noise)[0]
    torch.testing.assert_close(drawn, mean + variance.sqrt() * noise)
    assert torch.autograd.gradcheck(
        lambda *inputs: Perturbed.apply(*inputs, noise)[0], (mean, variance)
    )


@pytest.mark.parametrize("method", ["mean-field", "mnf"])
@pytest.mark.parametrize(
    "option",
    [
        "prior_std=inf",
        "prior_std=0",
        "max_std=0",
        "start_log_variance=0",
        "start_log_variance=-inf",
    ],
)
def test_options_that_cannot_train(method: str, option: str) -> None:
    """Options with which the KL is not finite, or no variance could be trained, are refused."""
    with pytest.raises(UsageError, match=r"must be"):
        Plugins().spec("method", f"{method}[{option}]")


def test_start_at_the_cap() -> None:
    """The start may be as high as the cap."""
    value = Plugins().spec("method", "mnf[max_std=inf,start_log_variance=0]").value
    assert value.start_log_variance == 0
    assert math.isinf(value.max_std)


@pytest.mark.parametrize("channels", [1, 4])
def test_squares_of_several_networks_at_once(channels: int) -> None:
    """Images are squared in their layout, under vmap too: a GPU lays out its own activations."""
    images = torch.randn(3, 2, 6, 6, channels).permute(0, 1, 4, 2, 3)
    squares = torch.func.vmap(squared)(images)
    torch.testing.assert_close(squares, images.square(), check_stride=False)
    assert squared(images[0]).stride() == images[0].to(memory_format=torch.channels_last).stride()


@pytest.mark.parametrize("channels", [1, 3])
def test_variances_are_laid_out_as_means(channels: int) -> None:
    """Of channels_last images, also of one channel, the outputs' variance is channels_last: else
    the slow path runs.
    """
    layer = MeanFieldConv2d(channels, 6, 3)
    images = torch.rand(4, channels, 9, 9).to(memory_format=torch.channels_last)
    for inputs in (images, images.contiguous()):
        mean, variance = layer.convolved(inputs, layer.weight, layer.bias), layer.variance(inputs)
        assert mean.stride() == variance.stride()
    assert layer.variance(images).stride(1) == 1


@pytest.mark.parametrize(
    "geometry",
    [
        {"stride": (2, 1), "padding": (1, 2), "dilation": 2, "groups": 2},
        {"padding": "same", "padding_mode": "reflect", "dilation": (1, 2), "bias": False},
        {"padding": (2, 1), "padding_mode": "circular", "groups": 4},
        {"padding": "valid", "padding_mode": "replicate"},
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", [partial(MNFConv2d, flows=0), MeanFieldConv2d])
def test_convolutions_stand_in_for_torchs(
    kind: Callable[..., MNFConv2d | MeanFieldConv2d], geometry: dict[str, Any], dtype: torch.dtype
) -> None:
    """With z = 1 and hardly any variance, outputs and attributes are those of torch's layer."""
    theirs = nn.Conv2d(4, 8, (3, 2), **geometry, dtype=dtype)
    ours = kind(4, 8, (3, 2), **geometry, dtype=dtype, start_log_variance=-80.0)
    for name in ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert (ours.groups, ours.padding_mode) == (theirs.groups, theirs.padding_mode)

    with torch.no_grad():
        ours.weight.copy_(theirs.weight)
        if isinstance(ours, MNFConv2d):
            ours.z_log_variance.fill_(-80.0)
        assert (ours.bias is None) == (theirs.bias is None)
        if theirs.bias is not None:
            ours.bias.copy_(theirs.bias)
        images = torch.rand(2, 4, 9, 8, dtype=dtype)
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours.repeated(images)(1), theirs(images), rtol=1e-4, atol=1e-5)
    assert ours.kl().isfinite()


@pytest.mark.parametrize(
    ("linear", "conv"), [(MNFLinear, MNFConv2d), (MeanFieldLinear, MeanFieldConv2d)]
)
def test_layers_take_what_torchs_take(linear: Any, conv: Any) -> None:
    """Arguments have torch's places, names, devices and errors."""
    dense = linear(5, 3, False, "meta", torch.float64)
    assert (dense.in_features, dense.out_features, dense.bias) == (5, 3, None)
    assert (dense.weight.shape, dense.weight.dtype) == ((3, 5), torch.float64)
    assert {(p.device.type, p.dtype) for p in dense.parameters()} == {("meta", torch.float64)}
    assert "in_features=5, out_features=3, bias=False" in repr(dense)
    assert conv(4, 8, 3, 1, 1, 1, 2, False, "circular").bias is None
    with pytest.raises(ValueError, match="divisible by groups"):
        conv(4, 8, 3, groups=3)


def test_layers_come_in_the_order_of_torchs() -> None:
    """Nested layers as net.modules() has them, one that stands twice once."""
    shared = nn.Linear(2, 2)
    net = nn.Sequential(
        nn.Sequential(shared, nn.ReLU()), nn.Sequential(shared, nn.Tanh()), nn.ReLU()
    )
    assert list(layers_of(net)) == list(net.modules())
