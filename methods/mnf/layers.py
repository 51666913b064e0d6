"""Layers with a multiplicative normalizing flow (Louizos & Welling 2017, Algorithms 1 and 2)."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, logsigmoid

from bench_uq.api import layers_of
from bench_uq.methods._gaussian import (
    GaussianConvolution,
    GaussianDense,
    GaussianWeights,
    dense_variance,
    normal_kl,
    perturb,
    perturbed,
)
from bench_uq.methods.mnf.flow import MaskedFlow

LOG_2_PI = math.log(2 * math.pi)

Masks = Literal["fresh", "fixed"]
Head = Literal["precision", "sigmoid"]


class MNFWeights(GaussianWeights):
    """q(W|z) = N(z mu, sigma^2) with z ~ q(z), a flow from a Gaussian, and r(z|W) of the bound.

    q's flow has ``flows`` steps of ``hidden`` units, r's as many of twice the units.
    """

    z_axis: ClassVar[int]  # axis of the weights that z multiplies

    def __init__(
        self,
        shape: tuple[int, ...],
        bias: bool = True,
        *,
        flows: int = 2,
        hidden: int = 50,
        z_mean: float = 1.0,
        z_variance: float = 0.1,
        masks: Masks = "fresh",
        head: Head = "precision",
        **options: Any,
    ) -> None:
        super().__init__(shape, bias, **options)
        dim = shape[self.z_axis]
        self.z_mean = nn.Parameter(torch.full((dim,), z_mean))
        self.z_log_variance = nn.Parameter(torch.full((dim,), math.log(z_variance)))
        self.head = head
        # Not buffers: they live only from an output to the KL of the same step.
        self.sharing, self.spare = False, cast("tuple[Tensor, Tensor] | None", None)

        self.flow_q = MaskedFlow(dim, flows, hidden, fixed_masks=masks == "fixed")
        self.flow_r = MaskedFlow(dim, flows, 2 * hidden, fixed_masks=masks == "fixed")

        # The vectors c, b1 and b2 of eqs 8-12, initialised as the authors do.
        self.contraction, self.r_mean, self.r_log_precision = (
            nn.Parameter(torch.randn(dim) * 2 / math.sqrt(dim)) for _ in range(3)
        )

    def start_z(self, count: int) -> Tensor:
        """Draw z_0 ~ N(z_mean, exp(z_log_variance)), (count, dim)."""
        noise = torch.randn(
            count, len(self.z_mean), dtype=self.z_mean.dtype, device=self.z_mean.device
        )
        return torch.addcmul(self.z_mean, (0.5 * self.z_log_variance).exp(), noise)

    def sample_z(self, count: int) -> Tensor:
        """Draw z ~ q(z), (count, dim)."""
        if not self.sharing:
            return self.flow_q.move(self.start_z(count))

        # One more z goes through the flow, for the next ``kl``.
        z, log_det = self.flow_q(self.start_z(count + 1), count)
        self.spare = z[count:], log_det
        return z[:count]

    def z_of_kl(self) -> tuple[Tensor, Tensor]:
        """z ~ q(z), (1, dim), and log|det| of its flow: those left by ``sample_z``, or new ones."""
        spare, self.spare = self.spare, None
        return spare or self.flow_q(self.start_z(1))

    def drawn_mean(self) -> Tensor:
        """Means of the weights under one z."""
        shape = [1] * self.mean.dim()
        shape[self.z_axis] = -1
        return self.mean * self.sample_z(1).reshape(shape)

    def kl(self) -> Tensor:
        """One-sample unbiased estimate, in nats, of the bound on KL(q(W) || p(W)) (eqs 6-7).

        KL(q(W|z) || p(W)) + log q(z) - log r(z|W), for one z of its own.
        """
        z, log_det = self.z_of_kl()
        return (
            normal_kl((z.square() * self.squared_means()).sum(), self.log_variance, self.prior_std)
            + self.bias_kl()
            + self.expected_log_q(log_det)
            - self.log_r(z)
        )

    def expected_log_q(self, log_det: Tensor) -> Tensor:
        """log q(z_T) (eq. 16) with log q(z_0) replaced by its mean."""
        # Unbiased too, and less noisy.
        return -0.5 * (LOG_2_PI + self.z_log_variance + 1).sum() - log_det.squeeze(0)

    def log_r(self, z: Tensor) -> Tensor:
        """log r(z|W) (eqs 8-12) for z (1, dim) and one draw of the contracted weights.

        The inverse flow is parametrised directly, z_T -> z_b.
        """
        z_b, log_det = self.flow_r(z)
        # The mean over an outer product b x a is b mean(a).
        summary = self.contracted(z).mean()
        log_precision = self.r_log_precision * summary
        if self.head == "sigmoid":
            # Eq. 10: the standard deviation is sigmoid(b2 mean(a)).
            log_precision = -2 * logsigmoid(log_precision)

        squares = (z_b - self.r_mean * summary).square()
        return 0.5 * (
            log_precision - LOG_2_PI - log_precision.exp() * squares
        ).sum() + log_det.squeeze(0)

    @abstractmethod
    def squared_means(self) -> Tensor:
        """Sum of the squared means that each element of z multiplies, (dim,)."""

    @abstractmethod
    def contracted(self, z: Tensor) -> Tensor:
        """Draw the weights, contracted with c over the axis of z, as r sees them."""


@contextmanager
def one_flow(net: nn.Module) -> Iterator[None]:
    """Let the z of each layer's KL go through the flow together with those of its outputs.

    For a loss that runs the network before it asks for the KL.
    """
    # Half the calls of the flow; the distribution of z stays the same.
    layers = [layer for layer in layers_of(net) if isinstance(layer, MNFWeights)]
    for layer in layers:
        layer.sharing = True

    try:
        yield
    finally:
        for layer in layers:
            layer.sharing, layer.spare = False, None


class MNFLinear(GaussianDense, MNFWeights):
    """A dense layer with a z per input and example (eq. 4): (B, ..., in) -> (B, ..., out)."""

    z_axis = 1

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs under a fresh z and fresh weights for each example (Algorithm 1)."""
        if inputs.dim() == 1:
            return cast(Tensor, self(inputs.unsqueeze(0)).squeeze(0))
        if self.whole:
            return self.with_drawn(inputs)

        z = self.sample_z(len(inputs)).unflatten(0, (len(inputs), *(1,) * (inputs.dim() - 2)))
        return perturb(linear(inputs * z, self.mean, self.bias_mean), dense_variance(inputs, self))

    def repeated(self, inputs: Tensor) -> Callable[[int], Tensor]:
        """A function from a number of copies of the inputs to their outputs, (count * B, out)."""
        std = dense_variance(inputs, self).sqrt()

        def outputs(count: int) -> Tensor:
            z = self.sample_z(count * len(inputs)).unflatten(0, (count, len(inputs)))
            return perturbed(
                linear(inputs * z, self.mean, self.bias_mean).flatten(0, 1), std, count
            )

        return outputs

    def squared_means(self) -> Tensor:
        """Squared norm of each input's weights, (in,)."""
        return self.mean.square().sum(0)

    def contracted(self, z: Tensor) -> Tensor:
        """a = tanh(c^T W), (out,), its pre-activation drawn by local reparametrisation."""
        mean = linear(self.contraction * z.squeeze(0), self.mean)
        variance = linear(self.contraction.square(), self.log_variance.exp())
        return torch.tanh(perturb(mean, variance))


class MNFConv2d(GaussianConvolution, MNFWeights):
    """A convolution with a z per filter and example (eq. 5): (B, in, H, W) -> (B, out, H', W')."""

    z_axis = 0

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs under a fresh z per example and fresh noise per position (Algorithm 2)."""
        if inputs.dim() == 3:
            return cast(Tensor, self(inputs.unsqueeze(0)).squeeze(0))
        if self.whole:
            return self.with_drawn(inputs)

        mean = self.convolved(inputs, self.mean, None)
        return perturb(self.scaled(mean, self.sample_z(len(inputs))), self.variance(inputs))

    def scaled(self, mean: Tensor, z: Tensor) -> Tensor:
        """Mean of the outputs given z; ``mean`` is that under z = 1 without biases."""
        z = z[..., None, None]
        if self.bias_mean is None:
            return mean * z
        return torch.addcmul(self.bias_mean[:, None, None], mean, z)

    def repeated(self, inputs: Tensor) -> Callable[[int], Tensor]:
        """A function from a number of copies of the inputs to their outputs, (count * B, ...)."""
        mean, std = self.convolved(inputs, self.mean, None), self.variance(inputs).sqrt()

        def outputs(count: int) -> Tensor:
            z = self.sample_z(count * len(inputs)).unflatten(0, (count, len(inputs)))
            return perturbed(self.scaled(mean, z).flatten(0, 1), std, count)

        return outputs

    def squared_means(self) -> Tensor:
        """Squared norm of each filter, (out,)."""
        return self.mean.square().sum((1, 2, 3))

    def contracted(self, z: Tensor) -> Tensor:
        """a = mat(W) c, (in * k * k,), drawn by local reparametrisation."""
        # Unlike eq. 11, without tanh: as in the code.
        mean = (self.contraction * z.squeeze(0)) @ self.mean.flatten(1)
        variance = self.contraction.square() @ self.log_variance.exp().flatten(1)
        return perturb(mean, variance)
