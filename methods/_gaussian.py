"""Gaussian weights by local reparametrisation (Kingma et al. 2015), shared by the variational methods.

Noise is per example and comes from torch's global generator.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
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
        self.raw_log_variance = nn.Parameter(start_log_variance + 1e-3 * torch.randn(shape))
        if bias:
            self.bias_mean = nn.Parameter(torch.zeros(shape[0]))
            self.bias_log_variance = nn.Parameter(torch.full((shape[0],), start_log_variance))
        else:
            self.register_parameter("bias_mean", None)
            self.register_parameter("bias_log_variance", None)

    @property
    def log_variance(self) -> Tensor:
        """Log-variances of the weights, capped."""
        if math.isinf(self.max_log_variance):
            return self.raw_log_variance
        return self.raw_log_variance.clamp(max=self.max_log_variance)

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
    return 0.5 * (second_moment - log_variance.sum() + log_variance.numel() * (2 * math.log(prior_std) - 1))


def perturb(mean: Tensor, variance: Tensor) -> Tensor:
    """Return a draw from N(mean, variance), elementwise: (B, features) or (B, channels, height, width)."""
    if mean.dim() == 4 and mean.is_contiguous(memory_format=torch.channels_last):
        # Drawing straight into a channels_last tensor takes a serial path in torch.
        noise = torch.randn(mean.permute(0, 2, 3, 1).shape, dtype=mean.dtype, device=mean.device).permute(0, 3, 1, 2)
    else:
        noise = torch.randn_like(mean)
    return torch.addcmul(mean, variance.sqrt(), noise)


def dense_variance(inputs: Tensor, weights: GaussianWeights) -> Tensor:
    """Return the variance of a dense layer's outputs over its weights: (B, in) -> (B, out)."""
    return linear(inputs.square(), weights.log_variance.exp(), weights.bias_variance)


def conv_variance(inputs: Tensor, weights: GaussianWeights) -> Tensor:
    """Return the variance of a convolution's outputs, each position alone: (B, in, H, W) -> (B, out, H', W')."""
    return conv2d(inputs.square(), weights.log_variance.exp(), weights.bias_variance)
