"""The optimiser whose steps are those of a chain of stochastic gradients.

The potential is U = size * (mean NLL) - log prior, in nats. A chain at temperature T samples
weights from exp(-U / T), up to the errors of steps of finite length and of gradients of batches.
The engine hands over gradients of U / size, in nats per example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

#: Largest distance by which one gradient may move the vector of all weights, over all steps in
#: which its momentum lasts. Longer gradients are cut to it: they arise where noise has led the
#: weights to a steep place, and a whole step from there would lead further away.
FURTHEST = 1.0
#: Steps over which the running mean of the share of cut gradients is taken.
MEMORY = 100

#: Function of the optimiser's parameter group that gives two factors for the next step: of the step
#: size, and of the variance of the noise.
Pace = Callable[[dict[str, Any]], tuple[Tensor | float, Tensor | float]]


def steady(group: dict[str, Any]) -> tuple[float, float]:
    """The full step size and the full noise, at every step."""
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

    The optimiser is torch's SGD, and a hook adds the noise to the gradients before each step. So
    the engine can train several networks as one batch, which it does with optimisers that are known
    to update every number by itself.
    """
    group = {"params": list(net.parameters()), "lr": step_size, "own_rate": True}
    optimiser = SGD([group], momentum=1 - friction)
    # Shape (), or (M,) where M networks train as one batch.
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
