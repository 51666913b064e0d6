"""Gaussian weights by local reparametrisation (Kingma et al. 2015), for the variational methods.

Noise is drawn per example, from torch's global generator. On request all examples share a draw of
the weights themselves.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, linear, pad

from bench_uq.api import layers_of, task_of
from bench_uq.methods._priors import PriorStd, check_prior, std_of

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]

#: What predictions draw: the outputs of a layer, for each example and position alone, or its
#: weights, which all examples and positions share.
Sampling = Literal["outputs", "weights"]


class GaussianWeights(nn.Module):
    """Independent Gaussians over the weights and biases of one layer, N(mean, exp(log_variance)).

    Means start as in He et al. 2015, log-variances at ``start_log_variance``. Standard deviations
    of the weights are capped at ``max_std``, both in the outputs and in the KL.
    """

    # Unlike the authors' code of MNF, which caps the outputs alone: with the KL capped too, the
    # bound holds for the posterior that is used.

    def __init__(
        self,
        shape: tuple[int, ...],
        bias: bool = True,
        *,
        prior_std: PriorStd = 1.0,
        start_log_variance: float = -9.0,
        max_std: float = 0.5,
    ) -> None:
        super().__init__()
        # Not a buffer: it lives only while ``draws_of_weights`` draws.
        self.whole = False
        self.prior_std = std_of(prior_std, shape)
        self.bias_prior_std = std_of(prior_std, shape[:1])
        self.max_log_variance = 2 * math.log(max_std)

        # Of a convolution too: the channels times the pixels of a kernel.
        fan_in = math.prod(shape[1:])
        self.mean = nn.Parameter(torch.randn(shape) * math.sqrt(2 / fan_in))
        self.weight_log_variance = nn.Parameter(start_log_variance + 1e-3 * torch.randn(shape))
        if bias:
            self.bias_mean = nn.Parameter(torch.zeros(shape[0]))
            self.bias_log_variance = nn.Parameter(torch.full((shape[0],), start_log_variance))
        else:
            self.register_parameter("bias_mean", None)
            self.register_parameter("bias_log_variance", None)

    @property
    def weight(self) -> Tensor:
        """Means of the weights, under the name that torch's layers have for their weights."""
        return self.mean

    @property
    def bias(self) -> Tensor | None:
        """Means of the biases; None without biases."""
        return self.bias_mean

    @property
    def log_variance(self) -> Tensor:
        """Log-variances of the weights, put back to the cap if a step led above it."""
        # As projected gradient descent does: they can come down again, and keep their gradient.
        # Clamped in the graph, a value that has passed the cap would stay there for good.
        if not math.isinf(self.max_log_variance):
            with torch.no_grad():
                self.weight_log_variance.clamp_max_(self.max_log_variance)
        return self.weight_log_variance

    @property
    def bias_variance(self) -> Tensor:
        """Variances of the biases, (out,)."""
        if self.bias_log_variance is None:
            # No biases: a number that only keeps the root of zero differentiable.
            return self.mean.new_full(self.mean.shape[:1], 1e-16)
        return self.bias_log_variance.exp()

    def drawn(self) -> tuple[Tensor, Tensor | None]:
        """One draw of the weights, in their shape, and of the biases, (out,)."""
        weights = perturb(self.drawn_mean(), self.log_variance.exp())
        if self.bias_mean is None:
            return weights, None
        return weights, perturb(self.bias_mean, self.bias_variance)

    def drawn_mean(self) -> Tensor:
        """Means of the weights of one draw."""
        return self.mean

    def bias_kl(self) -> Tensor | float:
        """KL of the biases to the normal prior, in nats."""
        if self.bias_mean is None:
            return 0.0
        squares = self.bias_mean.square().sum()
        return normal_kl(squares, self.bias_log_variance, self.bias_prior_std)


class GaussianDense(GaussianWeights):
    """Gaussian weights of a dense layer, with the arguments and names of torch's."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        super().__init__((out_features, in_features), bias, **options)
        self.in_features, self.out_features = in_features, out_features
        self.to(device=device, dtype=dtype)

    def with_drawn(self, inputs: Tensor) -> Tensor:
        """Outputs (B, ..., out) under one draw of the weights for all inputs."""
        return linear(inputs, *self.drawn())

    def extra_repr(self) -> str:
        """Sizes, as torch prints those of its own layer."""
        bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, {bias=}"


class GaussianConvolution(GaussianWeights):
    """Gaussian weights of a convolution, with the arguments and names of torch's."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        **options: Any,
    ) -> None:
        # Torch's layer checks what is given, and brings it into the form that its attributes have.
        like = nn.Conv2d(
            *(in_channels, out_channels, kernel_size, stride, padding, dilation, groups),
            padding_mode=padding_mode,
            device="meta",
        )
        super().__init__(tuple(like.weight.shape), bias, **options)

        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.padding = like.kernel_size, like.stride, like.padding
        self.dilation, self.groups, self.padding_mode = like.dilation, groups, padding_mode
        self.output_padding = like.output_padding
        self.to(device=device, dtype=dtype)

    def extra_repr(self) -> str:
        """Sizes and geometry, as torch prints those of its own layer."""
        return nn.Conv2d.extra_repr(cast(nn.Conv2d, self))

    def convolved(self, inputs: Tensor, weights: Tensor, biases: Tensor | None) -> Tensor:
        """The convolution of this geometry with some weights."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            inputs, padding = pad(inputs, self.borders(), mode=self.padding_mode), (0, 0)
        return conv2d(inputs, weights, biases, self.stride, padding, self.dilation, self.groups)

    def with_drawn(self, inputs: Tensor) -> Tensor:
        """Outputs (B, out, H', W') under one draw of the weights for all inputs."""
        return self.convolved(inputs, *self.drawn())

    def variance(self, inputs: Tensor) -> Tensor:
        """Variance of the outputs over the weights, per position: (B, in, H, W)."""
        return self.convolved(squared(inputs), self.log_variance.exp(), self.bias_variance)

    def borders(self) -> list[int]:
        """Pixels to add at the left, right, top and bottom."""
        found = list[int]()
        for axis in (1, 0):
            # As torch does: of an odd number the larger half follows the image.
            width = self.dilation[axis] * (self.kernel_size[axis] - 1)
            before, after = width // 2, width - width // 2
            if self.padding == "valid":
                before, after = 0, 0
            elif self.padding != "same":
                before = after = int(self.padding[axis])
            found += [before, after]
        return found


def normal_kl(squares: Tensor, log_variance: Tensor, prior_std: float) -> Tensor:
    """Sum of KL(N(mean, exp(log_variance)) || N(0, prior_std^2)) in nats.

    ``squares`` is the sum of the squared means.
    """
    second_moment = (log_variance.exp().sum() + squares) / prior_std**2
    return 0.5 * (
        second_moment - log_variance.sum() + log_variance.numel() * (2 * math.log(prior_std) - 1)
    )


def bound_once(function: type[torch.autograd.Function]) -> type[torch.autograd.Function]:
    """Let torch look up the signature of ``forward`` once, not in every call."""
    # Else it asks inspect for it each time.
    setattr(function.forward, "__signature__", inspect.signature(function.forward))  # noqa: B010
    return function


@bound_once
class Perturbed(torch.autograd.Function):
    """mean + sqrt(variance) noise, elementwise, in four passes over memory, gradients included.

    There is no second derivative: it would need values that the four passes do not keep.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(mean: Tensor, variance: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs, and their derivative in the variance."""
        std = variance.sqrt()
        # noise / (2 std) in one pass.
        derivative = torch.addcdiv(std.new_zeros(()), noise, std, value=0.5)
        return torch.addcmul(mean, std, noise), derivative

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        """Keep the derivative for the backward pass."""
        ctx.mark_non_differentiable(output[1])
        # Else torch fills the missing gradient of the second output with zeros.
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, Tensor | None, None]:
        """Gradients of mean and variance."""
        if gradients[0] is None:
            return None, None, None
        return gradients[0], gradients[0] * ctx.saved_tensors[0], None


def noise_like(mean: Tensor, count: int = 1) -> Tensor:
    """Normal noise for ``count`` copies of a batch, (count * B, ...), in its memory layout."""
    shape = (count * len(mean), *mean.shape[1:])

    # channels_last is recognised by its stride: under vmap torch cannot be asked. Drawing straight
    # into such a tensor takes a serial path in torch.
    if mean.dim() == 4 and mean.stride(1) == 1:
        batch, channels, height, width = shape
        noise = torch.randn(batch, height, width, channels, dtype=mean.dtype, device=mean.device)
        return noise.permute(0, 3, 1, 2)
    return torch.randn(shape, dtype=mean.dtype, device=mean.device)


def perturb(mean: Tensor, variance: Tensor) -> Tensor:
    """Draw from N(mean, variance), elementwise: (B, features) or (B, channels, height, width)."""
    outputs: Tensor = Perturbed.apply(mean, variance, noise_like(mean))[0]
    return outputs


def perturbed(mean: Tensor, std: Tensor, count: int) -> Tensor:
    """Draw ``count`` times from N(mean, std^2) of a batch: (B, ...) -> (count * B, ...).

    ``mean`` may also be (count * B, ...), with means of its own for each draw.
    """
    noise = noise_like(std, count).unflatten(0, (count, len(std)))
    mean = mean.unflatten(0, (count, len(std))) if len(mean) != len(std) else mean
    return torch.addcmul(mean, std, noise).flatten(0, 1)


@contextmanager
def whole_weights(net: nn.Module) -> Iterator[None]:
    """Let each pass through the network draw the weights once, for all its inputs."""
    layers = [layer for layer in layers_of(net) if isinstance(layer, GaussianWeights)]
    for layer in layers:
        layer.whole = True

    try:
        yield
    finally:
        for layer in layers:
            layer.whole = False


def draws_of_weights(net: nn.Module, inputs: Tensor, count: int) -> Tensor:
    """``count`` draws (S, B, P), each under one draw of all weights."""
    normalise = task_of(net).likelihood.normalise
    with whole_weights(net):
        return torch.stack([normalise(net(inputs)) for _ in range(count)])


def variational_optimiser(net: nn.Module, variance_rate: float) -> torch.optim.Optimizer:
    """Adam at 1e-3, and at ``variance_rate`` for the log-variances of weights and biases.

    With a ``variance_rate`` of 0 their rate is three times that of all else, whatever that is.
    """
    # Adam moves a log-variance by about its rate per step. At 1e-3 it takes several thousand steps
    # from -9 to the variances of a posterior, and methods are ranked by how far theirs came.
    of_variance = set[int]()
    for layer in net.modules():
        if isinstance(layer, GaussianWeights):
            of_variance |= {id(layer.weight_log_variance), id(layer.bias_log_variance)}

    variances, others = list[Tensor](), list[Tensor]()
    for values in net.parameters():
        group = variances if id(values) in of_variance else others
        group.append(values)
    groups = [
        {"params": others, "lr": 1e-3},
        {"params": variances, "lr": variance_rate or 3e-3, "own_rate": variance_rate > 0},
    ]
    return torch.optim.Adam(groups, fused=True)


def check_gaussian(
    prior_std: PriorStd, start_log_variance: float, max_std: float, variance_rate: float
) -> None:
    """Require options for which the KL is finite and variances can be trained."""
    if not 0 <= variance_rate <= 1:
        raise ValueError(f"variance_rate must be in [0, 1], not {variance_rate}")
    check_prior(prior_std)
    if not max_std > 0:
        raise ValueError(f"max_std must be above 0, not {max_std}")

    limit = min(20, 2 * math.log(max_std))
    if not -80 <= start_log_variance <= limit:
        allowed = f"[-80, {limit:.4g}] (2 log max_std)"
        raise ValueError(f"start_log_variance must be in {allowed}, not {start_log_variance}")


def dense_variance(inputs: Tensor, weights: GaussianWeights) -> Tensor:
    """Variance of a dense layer's outputs over its weights: (B, in) -> (B, out)."""
    return linear(inputs.square(), weights.log_variance.exp(), weights.bias_variance)


def squared(images: Tensor) -> Tensor:
    """Squares (B, C, H, W) in the memory layout of the images."""
    # ``square`` forgets that images of one channel are channels_last. The convolution would take
    # the slow path, and its outputs would differ in layout from those of the mean. Permuted, and
    # not by a memory format, which vmap refuses.
    if images.stride(1) == 1:
        return images.permute(0, 2, 3, 1).square().permute(0, 3, 1, 2)
    return images.square()
