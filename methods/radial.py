"""Radial posteriors: noise whose size does not grow with the number of weights."""

import functools
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from bench_uq.api import Layers, Task, network
from bench_uq.methods._flipped import FlippedConvolution, bias_noise, one_by_one
from bench_uq.methods._gaussian import GaussianDense, GaussianWeights, Perturbed, normal_kl
from bench_uq.methods._priors import PriorStd
from bench_uq.methods._variational import Variational


def constant(count: int) -> float:
    """KL in nats from ``count`` radial weights to Gaussian ones of the same means and variances.

    It depends on nothing that is learned, and tends to 0.635 nats per weight. The density of the
    offset v = ε / ||ε|| r is 2 φ(||v||) / (S ||v||^(D - 1)), with S the area of the unit sphere.
    """
    log_area = math.log(2) + count / 2 * math.log(math.pi) - math.lgamma(count / 2)
    # E log|r| of a standard normal r is -(γ + log 2) / 2, with Euler's γ.
    log_radius = -(0.5772156649015329 + math.log(2)) / 2
    of_radius = 0.5 * math.log(2 * math.pi * math.e) - math.log(2)

    entropy = of_radius + log_area + (count - 1) * log_radius
    of_gaussian = count / 2 * math.log(2 * math.pi * math.e / count)
    return of_gaussian - entropy


class RadialWeights(GaussianWeights):
    """Weights μ + σ ε / ||ε|| r with ε ~ N(0, I) over the layer and r ~ N(0, 1).

    Unlike the paper, whose σ is sqrt(D) times as large for D weights, the variances are those of
    the weights, so that options mean the same as in mean-field. Biases are Gaussian.
    """

    def kl(self) -> Tensor:
        """KL to the normal prior in nats: cross-entropy less entropy, both in closed form."""
        # Unlike the paper, whose cross-entropy is a Monte Carlo estimate.
        # A Gaussian of the same means and variances has the same cross-entropy.
        of_gaussian = normal_kl(self.mean.square().sum(), self.log_variance, self.prior_std)
        return of_gaussian + constant(self.mean.numel()) + self.bias_kl()


class RadialLinear(GaussianDense, RadialWeights):
    """A dense layer: (B, in) -> (B, out)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs under fresh weights for each example, by local reparametrisation."""
        mean = linear(inputs, self.mean, self.bias_mean) + bias_noise(self, inputs)
        # A number that keeps the root of zero differentiable.
        tiny = self.mean.new_full((len(self.mean),), 1e-16)
        variance = linear(inputs.square(), self.log_variance.exp(), tiny)

        outputs: Tensor = Perturbed.apply(mean, variance, self.direction(len(inputs)))[0]
        return outputs

    def direction(self, count: int) -> Tensor:
        """sqrt(D) r times the first ``out`` numbers of a random unit vector of D, (count, out)."""
        # The weights of different outputs share nothing but the norm and r. In a basis that has an
        # axis for each output, the outputs therefore see some coordinates of ε and its norm.
        out, total = self.mean.shape[0], self.mean.numel()
        z = torch.randn(count, out, dtype=self.mean.dtype, device=self.mean.device)
        r = torch.randn(count, 1, dtype=self.mean.dtype, device=self.mean.device)

        square = z.square().sum(1, keepdim=True)
        if total > out:
            # The other coordinates: chi-squared, twice a gamma of half the degrees of freedom.
            square = square + 2 * torch._standard_gamma(torch.full_like(r, (total - out) / 2))
        return z * r * (total / square).sqrt()


class RadialConv2d(FlippedConvolution, RadialWeights):
    """A convolution: (B, in, H, W) -> (B, out, H', W')."""

    def deviation(self) -> Tensor:
        """Draw sqrt(D) σ ε / ||ε||, the deviation of the weights but for r."""
        noise = torch.randn_like(self.mean)
        scale = math.sqrt(noise.numel()) / noise.square().sum().sqrt()
        return (0.5 * self.log_variance).exp() * noise * scale

    def scaled(self, noise: Tensor) -> Tensor:
        """The deviation of the outputs, times an r for each example."""
        return noise * torch.randn(len(noise), 1, 1, 1, dtype=noise.dtype, device=noise.device)


@dataclass(frozen=True)
class Radial(Variational):
    """Mean-field's Gaussian with a radius whose size does not depend on the number of weights."""

    reference: ClassVar[str] = "Farquhar et al. 2020, https://arxiv.org/abs/1907.00865"
    title: ClassVar[str] = "Radial"
    order: ClassVar[int] = 13

    prior_std: PriorStd = 1.0
    start_log_variance: float = -9.0
    max_std: float = 0.5  # of a weight; inf for none
    variance_rate: float = 0.0  # Adam's rate for the log-variances; 0: three times that of the rest
    kl_weight: float = 1.0
    kl_warmup: float = 0.0

    def build(self, task: Task) -> nn.Module:
        """Build the network with radial weights."""
        options: dict[str, Any] = {
            "prior_std": self.prior_std,
            "start_log_variance": self.start_log_variance,
            "max_std": self.max_std,
        }
        linear = functools.partial(RadialLinear, **options)
        conv = functools.partial(RadialConv2d, **options)
        return network(task, Layers(linear=linear, conv=conv))

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """``count`` passes (S, B, P), each under kernels of its own."""
        return one_by_one(net, inputs, count)
