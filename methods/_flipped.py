"""Convolutions whose kernel is drawn once for a whole batch, with random signs for each example.

A deviation from the mean of each weight that is symmetric about 0 may change its sign for all
weights of a filter: the law of one example's weights stays exactly the same, and those of two
examples are uncorrelated (flipout: Wen et al. 2018, https://arxiv.org/abs/1803.04386).
Unlike noise per position, which local reparametrisation would give, all positions of an image see
the same kernel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench_uq.api import stochastic_passes
from bench_uq.methods._gaussian import GaussianConvolution, GaussianWeights


def flipped(outputs: Tensor) -> Tensor:
    """Outputs (B, C, H, W) under an independent random sign for each example and channel."""
    shape = (*outputs.shape[:2], 1, 1)
    # Unlike the paper, no signs on the inputs: with those of the outputs alone, the deviations of
    # two examples are uncorrelated already. They are not independent, as their sizes are shared.
    coins = torch.randint(0, 2, shape, dtype=outputs.dtype, device=outputs.device)
    return outputs * (2 * coins - 1)


def bias_noise(weights: GaussianWeights, inputs: Tensor) -> Tensor:
    """Deviation of the biases from their means, (B, out), drawn for each example."""
    std = weights.bias_variance.sqrt()
    return std * torch.randn(len(inputs), len(std), dtype=std.dtype, device=std.device)


def one_by_one(net: nn.Module, inputs: Tensor, count: int) -> Tensor:
    """``count`` draws (S, B, P), each from a pass of its own."""
    # Copies of a batch in one pass would share the kernel but for its signs.
    return torch.cat([stochastic_passes(net, inputs, 1) for _ in range(count)])


class FlippedConvolution(GaussianConvolution):
    """A convolution with independent Gaussian weights: (B, in, H, W) -> (B, out, H', W')."""

    def deviation(self) -> Tensor:
        """Draw the deviation of the weights from their means."""
        return (0.5 * self.log_variance).exp() * torch.randn_like(self.mean)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs under one kernel for each example."""
        mean = self.convolved(inputs, self.mean, self.bias_mean)
        noise = self.convolved(inputs, self.deviation(), None)
        return self.scaled(flipped(noise)) + mean + bias_noise(self, inputs)[..., None, None]

    def scaled(self, noise: Tensor) -> Tensor:
        """The deviation of the outputs (B, out, H', W'), as it is."""
        return noise
