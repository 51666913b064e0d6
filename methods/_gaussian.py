"""Gaussian weights by local reparametrisation (Kingma et al. 2015), shared by the variational methods.

Noise is per example and comes from torch's global generator.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import conv2d, linear


class GaussianWeights(nn.Module):
    """Independent Gaussians over the weights and biases of one layer, N(mean, exp(log_variance)).

    Means start as He et al. 2015, log-variances at ``start_log_variance``. Standard deviations of the weights are
    capped at ``max_std`` in the outputs and in the KL alike: unlike the authors' code of MNF, which caps the outputs
    alone, the bound then holds for the posterior that is used.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        bias: bool = True,
        *,
        prior_std: float = 1.0,
        start_log_variance: float = -9.0,
        max_std: float = 0.5,
    ) -> None:
        super().__init__()
        fan_in = math.prod(shape[1:])
        self.prior_std = prior_std
        self.max_log_variance = 2 * math.log(max_std)
        self.mean = nn.Parameter(torch.randn(shape) * math.sqrt(2 / fan_in))
        self.weight_log_variance = nn.Parameter(start_log_variance + 1e-3 * torch.randn(shape))
        if bias:
            self.bias_mean = nn.Parameter(torch.zeros(shape[0]))
            self.bias_log_variance = nn.Parameter(torch.full((shape[0],), start_log_variance))
        else:
            self.register_parameter("bias_mean", None)
            self.register_parameter("bias_log_variance", None)

    @property
    def log_variance(self) -> Tensor:
        """Log-variances of the weights, put back to the cap where a step led above it.

        Putting them back, as projected gradient descent does, lets them come down again and costs no gradient;
        clamping in the graph would hold a value that has passed the cap there for good.
        """
        if not math.isinf(self.max_log_variance):
            with torch.no_grad():
                self.weight_log_variance.clamp_max_(self.max_log_variance)
        return self.weight_log_variance

    @property
    def bias_variance(self) -> Tensor:
        """Variances of the biases; without biases a number that only keeps the root of zero differentiable."""
        if self.bias_log_variance is None:
            return self.mean.new_full(self.mean.shape[:1], 1e-16)
        return self.bias_log_variance.exp()

    def bias_kl(self) -> Tensor | float:
        """Return the KL of the biases to the normal prior, in nats."""
        if self.bias_mean is None:
            return 0.0
        return normal_kl(self.bias_mean.square().sum(), self.bias_log_variance, self.prior_std)


def normal_kl(squares: Tensor, log_variance: Tensor, prior_std: float) -> Tensor:
    """Return the sum of KL(N(mean, exp(log_variance)) || N(0, prior_std^2)) in nats, from the sum of squared means."""
    second_moment = (log_variance.exp().sum() + squares) / prior_std**2
    return 0.5 * (
        second_moment - log_variance.sum() + log_variance.numel() * (2 * math.log(prior_std) - 1)
    )


class Perturbed(torch.autograd.Function):
    """mean + sqrt(variance) noise, elementwise, in four passes over memory, gradients included.

    A second derivative is refused: it would need what the four passes do not keep.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(mean: Tensor, variance: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the outputs and their derivative in the variance."""
        std = variance.sqrt()
        derivative = torch.addcdiv(std.new_zeros(()), noise, std, value=0.5)  # in one pass
        return torch.addcmul(mean, std, noise), derivative

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        """Keep the derivative."""
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, Tensor | None, None]:
        """Return the gradients of mean and variance."""
        if gradients[0] is None:
            return None, None, None
        return gradients[0], gradients[0] * ctx.saved_tensors[0], None


def noise_like(mean: Tensor, count: int = 1) -> Tensor:
    """Return standard normal noise for so many copies of a batch, (count * B, ...), laid out in memory as it is."""
    shape = (count * len(mean), *mean.shape[1:])
    if mean.dim() == 4 and mean.stride(1) == 1:  # channels_last; under vmap torch cannot be asked
        # Drawing straight into a channels_last tensor takes a serial path in torch.
        batch, channels, height, width = shape
        noise = torch.randn(batch, height, width, channels, dtype=mean.dtype, device=mean.device)
        return noise.permute(0, 3, 1, 2)
    return torch.randn(shape, dtype=mean.dtype, device=mean.device)


def perturb(mean: Tensor, variance: Tensor) -> Tensor:
    """Return a draw from N(mean, variance), elementwise: (B, features) or (B, channels, height, width)."""
    outputs: Tensor = Perturbed.apply(mean, variance, noise_like(mean))[0]
    return outputs


def perturbed(mean: Tensor, std: Tensor, count: int) -> Tensor:
    """Return ``count`` draws from N(mean, std^2) of a batch, one behind the other: (B, ...) -> (count * B, ...).

    ``mean`` may also be (count * B, ...), one a draw.
    """
    noise = noise_like(std, count).unflatten(0, (count, len(std)))
    mean = mean.unflatten(0, (count, len(std))) if len(mean) != len(std) else mean
    return torch.addcmul(mean, std, noise).flatten(0, 1)


def pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return a kernel's height and width."""
    return (size, size) if isinstance(size, int) else size


def variational_optimiser(net: nn.Module, variance_rate: float) -> torch.optim.Optimizer:
    """Return Adam at 1e-3, and at ``variance_rate`` for the log-variances of weights and biases.

    Adam moves a log-variance by about its rate a step: from -9 to the variances of a posterior that is several
    thousand steps at 1e-3, in which a ranking of methods is one of how far their variances came.
    """
    layers = [layer for layer in net.modules() if isinstance(layer, GaussianWeights)]
    variances = [
        values
        for layer in layers
        for values in (layer.weight_log_variance, layer.bias_log_variance)
    ]
    of_variance = {id(values) for values in variances if values is not None}
    groups = [
        {
            "params": [values for values in net.parameters() if id(values) not in of_variance],
            "lr": 1e-3,
        },
        {
            "params": [values for values in net.parameters() if id(values) in of_variance],
            "lr": variance_rate,
        },
    ]
    return torch.optim.Adam(groups, fused=True)


def check_gaussian(
    prior_std: float, start_log_variance: float, max_std: float, variance_rate: float
) -> None:
    """Refuse options with which a KL is not finite, or with which no variance could ever be trained."""
    if not 0 < variance_rate <= 1:
        raise ValueError(f"variance_rate must be in (0, 1], not {variance_rate}")
    if not 1e-6 <= prior_std <= 1e6:
        raise ValueError(f"prior_std must be in [1e-6, 1e6], not {prior_std}")
    if not max_std > 0:
        raise ValueError(f"max_std must be above 0, not {max_std}")
    if not -80 <= start_log_variance <= min(20, 2 * math.log(max_std)):
        limit = min(20, 2 * math.log(max_std))
        raise ValueError(
            f"start_log_variance must be in [-80, {limit:.4g}] (2 log max_std), not {start_log_variance}"
        )


def dense_variance(inputs: Tensor, weights: GaussianWeights) -> Tensor:
    """Return the variance of a dense layer's outputs over its weights: (B, in) -> (B, out)."""
    return linear(inputs.square(), weights.log_variance.exp(), weights.bias_variance)


def squared(images: Tensor) -> Tensor:
    """Return the squares (B, C, H, W), laid out in memory as the images are.

    ``square`` forgets that images of one channel are channels_last; the convolution would take the slow path, and its
    outputs would not be laid out as those of the mean.
    """
    squares = images.square()
    return squares.to(memory_format=torch.channels_last) if images.stride(1) == 1 else squares


def conv_variance(inputs: Tensor, weights: GaussianWeights, stride: int, padding: int) -> Tensor:
    """Return the variance of a convolution's outputs, each position alone: (B, in, H, W) -> (B, out, H', W')."""
    return conv2d(
        squared(inputs), weights.log_variance.exp(), weights.bias_variance, stride, padding
    )
