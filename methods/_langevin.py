"""The optimiser whose steps are those of a chain of stochastic gradients.

The potential is U = size * (mean NLL) - log prior, in nats. A chain at temperature T has the law
exp(-U / T), up to the errors of its steps, whatever the batch. The engine hands over gradients of
U / size, in nats per example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

#: Distance in the space of all weights by which one gradient moves them at most, its momentum
#: included. Longer gradients are cut: they come from where the noise led the weights, and would
#: lead them further. The shorter the steps, the fewer.
FURTHEST = 1.0
#: Memory of the running mean of the share of cut gradients, in steps.
MEMORY = 100

#: Function from the optimiser's group of parameters to the share of the step size that a step has,
#: and the share of the variance of its noise.
Pace = Callable[[dict[str, Any]], tuple[Tensor | float, Tensor | float]]


def steady(group: dict[str, Any]) -> tuple[float, float]:
    """Whole steps with all of their noise."""
    del group
    return 1.0, 1.0


def langevin(
    net: nn.Module,
    step_size: float,
    temperature: float,
    friction: float = 1.0,
    pace: Pace = steady,
) -> SGD:
    """SGHMC (Chen et al. 2014, eq. 15); at friction 1 SGLD (Welling & Teh 2011, eq. 4).

    With the gradient g of U / size and the learning rate h, a step is

        v <- (1 - friction) v - h g + N(0, 2 friction T h / size),    w <- w + v

    so that h is size * eta of Chen et al., and size * epsilon / 2 of Welling & Teh. Unlike theirs,
    h g / friction is at most FURTHEST long, as in tamed chains (Brosse et al. 2019).

    It is SGD whose gradients get their noise right before the step: of SGD itself the engine knows
    that it treats every number alone, and may train networks as one batch.
    """
    group = {"params": list(net.parameters()), "lr": step_size, "own_rate": True}
    optimiser = SGD([group], momentum=1 - friction)
    # Of networks that train as one batch (M,), one entry each.
    size, cut = net.get_buffer("size"), net.get_buffer("cut")

    @torch.no_grad()
    def add_noise(optimiser: Optimizer, args: Any, kwargs: Any) -> None:
        del args, kwargs
        (group,) = optimiser.param_groups
        moved = [weights for weights in group["params"] if weights.grad is not None]
        share, noise = pace(group)

        longest = FURTHEST * friction / (group["lr"] * share)
        kept = (longest / norm([weights.grad for weights in moved], size.dim())).clamp_max(1)
        cut.lerp_((kept < 1).to(cut), 1 / MEMORY)

        variance = 2 * friction * temperature * share * noise / (group["lr"] * size)
        for weights in moved:
            # Tensors, because numbers would make each step wait for the device.
            factor, std = beside(share * kept, weights), beside(variance.sqrt(), weights)
            weights.grad.mul_(factor).addcmul_(torch.randn_like(weights), std)

    optimiser.register_step_pre_hook(add_noise)
    return optimiser


def norm(gradients: Sequence[Tensor], axes: int) -> Tensor:
    """Norm of all gradients of a network together, (), or with one axis of each, (M,)."""
    norms = []
    for gradient in gradients:
        rows = gradient.reshape(*gradient.shape[:axes], -1)
        norms.append(torch.linalg.vector_norm(rows, dim=-1))
    return torch.linalg.vector_norm(torch.stack(norms), dim=0)


def beside(values: Tensor, weights: Tensor) -> Tensor:
    """Values () or (M,) in a shape that broadcasts over weights, (...) or (M, ...)."""
    return values.reshape(values.shape + (1,) * (weights.dim() - values.dim()))
