"""SNGP: hidden layers of bounded norm and a Gaussian process as the last layer."""

import math
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.func import grad, jacrev, vmap
from torch.nn.functional import linear

from bench_uq.api import Batches, Layers, Method, Task, network, task_of
from bench_uq.methods._heads import Head, draws_of, head_of, numbers_of, with_head
from bench_uq.methods._spectral import (
    LAST_ITERATIONS,
    BoundedConv2d,
    BoundedLinear,
    bound_all,
    find_directions,
)


class GaussianProcess(Head):
    """Random features of an RBF kernel (Rahimi & Recht 2007) under weights N(0, prior_std^2).

    The prior covariance of its outputs is prior_std^2 exp(-d^2 / (2 length_scale^2)), which D
    features approach as 1 / sqrt(D); d is the root mean square of the differences of the hidden
    units. Unlike the paper's norm of the differences, it fits layers of any width.
    """

    random = False
    projection: Tensor
    phase: Tensor
    whitener: Tensor

    def __init__(self, inputs: int, outputs: int, features: int, length_scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, features))
        reach = length_scale * math.sqrt(inputs)
        self.register_buffer("projection", torch.randn(features, inputs) / reach)
        self.register_buffer("phase", 2 * math.pi * torch.rand(features))
        # Of each output L^-1, where LL' is the posterior precision of its weights; 0 until fitted.
        # P D^2 numbers: 10 MB for ten classes and 512 features.
        self.register_buffer("whitener", torch.zeros(outputs, features, features))

    def numbers(self, hidden: Tensor) -> Tensor:
        """Random features of unit variance, (B, D) (Liu et al. 2020, eq. 8)."""
        waves = torch.cos(linear(hidden, self.projection, self.phase))
        return waves * math.sqrt(2 / len(self.phase))

    def outputs(self, numbers: Tensor) -> Tensor:
        """Posterior mean, (B, P)."""
        return linear(numbers, self.weight)

    def variance(self, numbers: Tensor) -> Tensor:
        """Posterior variance of each output, (B, P)."""
        whitened = linear(numbers, self.whitener.flatten(0, 1))
        return whitened.unflatten(-1, self.whitener.shape[:2]).square().sum(-1)

    def drawn(self, numbers: Tensor, count: int) -> Tensor:
        """Draws (S, B, P), independent in each output and example; until fitted the mean alone."""
        mean = self.outputs(numbers)
        # A factor that was fitted has a diagonal above 0.
        if self.whitener[0, 0, 0] == 0:
            return mean.unsqueeze(0)

        std = self.variance(numbers).sqrt()
        noise = torch.randn(count, *std.shape, dtype=std.dtype, device=std.device)
        return torch.addcmul(mean, std, noise)

    @torch.no_grad()
    def fit(self, precision: Tensor) -> None:
        """Take the posterior precision of each output's weights, (P, D, D) float64."""
        lower = torch.linalg.cholesky(precision)
        identity = torch.eye(len(self.phase), dtype=lower.dtype, device=lower.device)
        inverse = torch.linalg.solve_triangular(lower, identity.expand_as(lower), upper=False)
        self.whitener.copy_(inverse)


@dataclass(frozen=True)
class SNGP(Method):
    """Hidden layers of bounded norm, and a Gaussian process on random features as the last layer.

    Far from the training data in the last hidden layer, the outputs fall back to the prior
    N(0, prior_std^2), and so to no preference between classes. The bound keeps close inputs close
    in that layer. To keep distant ones apart takes residual layers as well (Liu et al. 2020,
    Proposition 1), which ``lenet`` and ``mlp`` do not have. Norm layers are not bounded.

    The posterior is fitted after training, by Laplace's approximation, in one pass over the
    training data, for any likelihood by its curvature in the outputs. Draws are independent in
    each output; together with the prior this makes predictions underconfident where classes hardly
    overlap. Unlike the paper's 1,024 features there are 512 by default, as the posterior takes D^2
    numbers for each output.
    """

    reference: ClassVar[str] = "Liu et al. 2020, https://arxiv.org/abs/2006.10108"
    title: ClassVar[str] = "SNGP"
    order: ClassVar[int] = 20
    weight_prior: ClassVar[str] = "N(0, prior_std^2) of the last layer"

    search: ClassVar = {
        "norm_bound": {"low": 0.5, "high": 10.0, "scale": "log"},
        "length_scale": {"low": 0.3, "high": 10.0, "scale": "log"},
        "prior_std": {"low": 0.3, "high": 30.0, "scale": "log"},
    }

    norm_bound: float = 6.0  # of each hidden layer; inf for none
    features: int = 512
    length_scale: float = 2.0  # of the kernel, in the last hidden layer
    prior_std: float = 1.0  # of the process at any input

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.norm_bound >= 1e-3:
            raise ValueError(f"norm_bound must be at least 0.001, not {self.norm_bound}")
        for name in ("length_scale", "prior_std"):
            if not 1e-3 <= getattr(self, name) <= 1e3:
                raise ValueError(f"{name} must be in [0.001, 1000], not {getattr(self, name)}")
        if self.features < 1:
            raise ValueError(f"features must be at least 1, not {self.features}")

    def build(self, task: Task) -> nn.Module:
        """Build the network of bounded layers with the process as its last one."""
        net = network(task, Layers(linear=BoundedLinear, conv=BoundedConv2d))

        def process(inputs: int) -> Head:
            outputs = task.likelihood.parameters
            return GaussianProcess(inputs, outputs, self.features, self.length_scale)

        return find_directions(with_head(net, process), task)

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """NLL - log prior of the last layer / size, after bounding the hidden layers."""
        bound_all(net, self.norm_bound)
        weight = cast(GaussianProcess, head_of(net)).weight
        prior = weight.square().sum() / (2 * self.prior_std**2)
        return super().loss(net, inputs, targets, size, progress) + prior / size

    def finish(self, net: nn.Module, train: Batches, held_out: Batches) -> None:
        """Bound the hidden layers, then fit the posterior of the last layer (eq. 9).

        The precision of output k is I / prior_std^2 + sum_i c_ik phi_i phi_i', where c_ik is the
        curvature of the NLL of example i in that output: for classes p (1 - p).
        """
        del held_out
        bound_all(net, self.norm_bound, LAST_ITERATIONS)
        head = cast(GaussianProcess, head_of(net))
        likelihood = task_of(net).likelihood

        def nll(outputs: Tensor, target: Tensor) -> Tensor:
            return -likelihood.log_prob(likelihood.scale(outputs[None]), target[None]).squeeze(0)

        # In float64: beside the sum, a wide prior would be lost in the rounding of float32.
        precision = torch.zeros_like(head.whitener, dtype=torch.float64)
        precision.diagonal(dim1=-2, dim2=-1).fill_(self.prior_std**-2)
        with torch.no_grad():
            for inputs, targets in train:
                features = numbers_of(net, inputs)
                curvature = vmap(jacrev(grad(nll)))(head.outputs(features), targets)
                # (P, B, 1): each example's weight in the precision of each output.
                weights = curvature.diagonal(dim1=-2, dim2=-1).T.clamp_min(0).unsqueeze(-1)
                precision += (weights * features).double().mT @ features.double()

        head.fit(precision)

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """Draws from the posterior of the outputs."""
        return draws_of(net, inputs, count)
