"""Improved variational online Newton: mean-field inference by natural gradients."""

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from bench_uq.api import Layers, Task, layers_of, network
from bench_uq.methods._flipped import FlippedConvolution, one_by_one
from bench_uq.methods._gaussian import GaussianWeights, whole_weights
from bench_uq.methods._priors import PriorStd
from bench_uq.methods._variational import Variational
from bench_uq.methods.mean_field import MeanFieldLinear, MeanFieldWeights


class IVONConv2d(FlippedConvolution, MeanFieldWeights):
    """A convolution: (B, in, H, W) -> (B, out, H', W')."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs under one draw for the batch while training, else under one for each example."""
        return self.with_drawn(inputs) if self.whole else super().forward(inputs)


def pairs(net: nn.Module) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
    """Means m and log-variances log σ² of all weights and biases."""
    for layer in layers_of(net):
        if isinstance(layer, GaussianWeights):
            yield layer.mean, layer.weight_log_variance
            if layer.bias_mean is not None:
                yield layer.bias_mean, layer.bias_log_variance


@dataclass(frozen=True)
class IVON(Variational):
    """A factorised Gaussian posterior, trained by the natural gradients of an online Newton method.

    Posterior and bound are those of mean-field without a cap. Not h of Algorithm 1 is stored but
    the variance σ² = 1 / (λ (h + δ)), with λ = size / kl_weight and λ δ = 1 / prior_std².

    The learning rate is the share of a Newton step. Unlike Algorithm 1, whose 1 - β2 is constant
    and small, it falls with the schedule: few steps must both reach h and average its noise.
    Parameters of other layers, such as batch normalisations, take plain steps with momentum.
    """

    reference: ClassVar[str] = "Shen et al. 2024, https://arxiv.org/abs/2402.17641"
    title: ClassVar[str] = "IVON"
    order: ClassVar[int] = 12

    prior_std: PriorStd = 1.0
    start_log_variance: float = -9.0
    momentum: float = 0.9  # β1, share of the mean gradient that a step keeps
    hessian_rate: float = 0.05  # 1 - β2 at the start, share of the Hessian that a step renews
    kl_weight: float = 1.0

    # No fields: Algorithm 1 has neither.
    max_std = math.inf
    variance_rate = 0.0
    kl_warmup = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kl_weight == 0:
            raise ValueError("kl_weight must be above 0, not 0: without a KL variances are 0")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), not {self.momentum}")
        if not 0 < self.hessian_rate <= 1:
            raise ValueError(f"hessian_rate must be in (0, 1], not {self.hessian_rate}")

    def build(self, task: Task) -> nn.Module:
        """Build the network with Gaussian weights."""
        options: dict[str, Any] = {
            "prior_std": self.prior_std,
            "start_log_variance": self.start_log_variance,
            "max_std": self.max_std,
        }
        linear = functools.partial(MeanFieldLinear, **options)
        conv = functools.partial(IVONConv2d, **options)

        net = network(task, Layers(linear=linear, conv=conv))
        # Their number, which the optimiser is not told.
        net.register_buffer("examples", torch.zeros(()))
        return net

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """Mean NLL + kl_weight * KL / size, under one draw of the weights for the batch."""
        net.get_buffer("examples").fill_(size)
        with whole_weights(net):
            return super().loss(net, inputs, targets, size, progress)

    def optimiser(self, net: nn.Module) -> torch.optim.Optimizer:
        """SGD, whose gradients are first turned into steps of Algorithm 1."""
        means, variances = zip(*pairs(net), strict=True)
        curved = set(map(id, (*means, *variances)))
        rest = [values for values in net.parameters() if id(values) not in curved]

        # A type of torch's that treats every number alone, so that networks train as one batch.
        groups = [
            {"params": [*means, *rest], "lr": 0.02},
            {"params": [*variances], "lr": self.hessian_rate, "own_rate": True},
        ]
        optimiser = torch.optim.SGD(groups)
        optimiser.register_step_pre_hook(functools.partial(self.newton, net))
        return optimiser

    @torch.no_grad()
    def newton(self, net: nn.Module, optimiser: torch.optim.Optimizer, *_: Any) -> None:
        """Update the variances, and turn the gradients of the means into Newton steps.

        One draw of the weights gives the gradient g of the NLL. That of the loss is g + δ m in m,
        and σ² (ĥ - h) / 2 in log σ², with the estimate ĥ = g (θ - m) / σ² of Algorithm 1.
        """
        # λ, of all networks of a stack alike.
        size = net.get_buffer("examples").max() / self.kl_weight
        others, variances = optimiser.param_groups

        for values in others["params"]:
            values.grad = self.averaged(values.grad, optimiser.state[values])

        # The means stand first among the others.
        for mean, log_variance in zip(others["params"], variances["params"], strict=False):
            # (1 - β2) (ĥ - h) / (h + δ). Each step multiplies h + δ by 1 + change + change² / 2,
            # which is above 0 whatever the noise.
            change = 2 * variances["lr"] * size * log_variance.grad
            log_variance.sub_(torch.log1p(change + change.square() / 2))
            log_variance.grad = None
            # Over h + δ.
            mean.grad.mul_(size * log_variance.exp())

    def averaged(self, gradient: Tensor, state: dict[str, Any]) -> Tensor:
        """Running mean of the gradient, without the bias of its start at 0."""
        # Unlike Algorithm 1, which adds δ m after the mean was taken, it is part of the gradient.
        if not state:
            state.update(mean=torch.zeros_like(gradient), steps=0)

        state["steps"] += 1
        state["mean"].lerp_(gradient, 1 - self.momentum)
        return state["mean"] / (1 - self.momentum ** state["steps"])

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """``count`` passes (S, B, P), each under kernels of its own."""
        return one_by_one(net, inputs, count)
