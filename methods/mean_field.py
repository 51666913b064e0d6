"""Mean-field Gaussian variational inference with local reparametrisation."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from bench_uq.api import Layers, Task, network
from bench_uq.methods._gaussian import (
    GaussianConvolution,
    GaussianDense,
    GaussianWeights,
    Sampling,
    dense_variance,
    draws_of_weights,
    normal_kl,
    perturb,
    perturbed,
)
from bench_uq.methods._priors import PriorStd
from bench_uq.methods._variational import Variational

Prior = Literal["normal", "log-uniform"]


def log_uniform_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Sum of KL(N(mean, exp(log_variance)) || log-uniform), nats, Molchanov et al. 2017, eq. 14."""
    # The constant of the improper prior is chosen so that the KL tends to 0 as the variance grows
    # far beyond the squared mean. The approximation is within 0.0094 nats per weight of the
    # integral, and furthest from it at variance = 0.03 mean^2.
    log_alpha = log_variance - (mean.square() + 1e-16).log()
    negative = 0.63576 * (
        torch.sigmoid(1.87320 + 1.48695 * log_alpha) - 1
    ) - 0.5 * nn.functional.softplus(-log_alpha)
    return -negative.sum()


class MeanFieldWeights(GaussianWeights):
    """Gaussian weights whose KL is to a normal or a log-uniform prior."""

    def __init__(
        self, shape: tuple[int, ...], bias: bool = True, *, prior: Prior = "normal", **options: Any
    ) -> None:
        super().__init__(shape, bias, **options)
        self.prior = prior

    def kl(self) -> Tensor:
        """KL(posterior || prior) in nats; biases always have the normal prior."""
        if self.prior == "log-uniform":
            return log_uniform_kl(self.mean, self.log_variance) + self.bias_kl()
        return (
            normal_kl(self.mean.square().sum(), self.log_variance, self.prior_std) + self.bias_kl()
        )


class MeanFieldLinear(GaussianDense, MeanFieldWeights):
    """A dense layer: (B, in) -> (B, out)."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs under fresh weights for each example."""
        if self.whole:
            return self.with_drawn(inputs)
        return perturb(linear(inputs, self.mean, self.bias_mean), dense_variance(inputs, self))

    def repeated(self, inputs: Tensor) -> Callable[[int], Tensor]:
        """A function from a number of copies of the inputs to their outputs, (count * B, out)."""
        mean, std = linear(inputs, self.mean, self.bias_mean), dense_variance(inputs, self).sqrt()
        return lambda count: perturbed(mean, std, count)


class MeanFieldConv2d(GaussianConvolution, MeanFieldWeights):
    """A convolution: (B, in, H, W) -> (B, out, H', W')."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs under fresh noise for each example and position, the usual approximation."""
        if self.whole:
            return self.with_drawn(inputs)
        mean = self.convolved(inputs, self.mean, self.bias_mean)
        return perturb(mean, self.variance(inputs))

    def repeated(self, inputs: Tensor) -> Callable[[int], Tensor]:
        """A function from a number of copies of the inputs to their outputs, (count * B, ...)."""
        mean = self.convolved(inputs, self.mean, self.bias_mean)
        std = self.variance(inputs).sqrt()
        return lambda count: perturbed(mean, std, count)


@dataclass(frozen=True)
class MeanField(Variational):
    """A fully factorised Gaussian posterior: FFG (prior=normal) and FFLU (prior=log-uniform)."""

    reference: ClassVar[str] = (
        "Blundell et al. 2015, https://arxiv.org/abs/1505.05424; "
        "Kingma et al. 2015, https://arxiv.org/abs/1506.02557; "
        "Molchanov et al. 2017, https://arxiv.org/abs/1701.05369; "
        "kl_weight: Wenzel et al. 2020, https://arxiv.org/abs/2002.02405"
    )
    title: ClassVar[str] = "Mean field"
    order: ClassVar[int] = 3

    prior: Prior = "normal"
    prior_std: PriorStd = 1.0
    start_log_variance: float = -9.0
    max_std: float = 0.5  # of a weight; inf for none
    variance_rate: float = 0.0  # Adam's rate for the log-variances; 0: three times that of the rest
    kl_weight: float = 1.0
    kl_warmup: float = 0.0
    # What predictions draw; training always draws outputs.
    sampling: Sampling = "outputs"

    @property
    def posterior(self) -> str:
        """The prior, normal or log-uniform."""
        return super().posterior if self.prior == "normal" else self.prior

    def build(self, task: Task) -> nn.Module:
        """Build the network with Gaussian weights."""
        options: dict[str, Any] = {
            "prior": self.prior,
            "prior_std": self.prior_std,
            "start_log_variance": self.start_log_variance,
            "max_std": self.max_std,
        }
        linear = functools.partial(MeanFieldLinear, **options)
        conv = functools.partial(MeanFieldConv2d, **options)
        return network(task, Layers(linear=linear, conv=conv))

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """``count`` draws (S, B, P), of outputs or of whole weights."""
        if self.sampling == "weights":
            return draws_of_weights(net, inputs, count)
        return super().draws(net, inputs, count)
