"""The recipe of a training: learning rate, schedule, warm-up, weight decay and clipping.

They are the loop's, and the same for every method. An optimiser keeps the rate at which each of its
groups starts as ``initial_lr``, as torch's own schedules do, and so do checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from bench_uq.train.settings import Settings

#: Key of a group of an optimiser whose rate is an option of the method.
OWN_RATE = "own_rate"


def begin(optimiser: torch.optim.Optimizer, settings: Settings) -> None:
    """Set the learning rate at which each group of parameters starts.

    A ``learning_rate`` of 0 leaves the method's. Another is that of the first group, and the other
    groups keep their ratio to it. Groups with a rate of their own keep that. Raise ValueError for a
    recipe that needs rates, if the optimiser of a plugin has none.
    """
    steady = settings.schedule == "constant" and not settings.warmup
    needed = not steady or settings.learning_rate or settings.weight_decay
    groups = [group for group in optimiser.param_groups if "lr" in group]
    if needed and len(groups) < len(optimiser.param_groups):
        without = "--set METHOD.learning_rate=0 --set METHOD.schedule=constant"
        raise ValueError(f"a group of the optimiser lacks 'lr' ({without} leaves it its own)")

    following = [group for group in groups if not group.get(OWN_RATE)]
    if settings.learning_rate and following:
        first = following[0]["lr"]
        for group in following:
            group["lr"] = settings.learning_rate * (group["lr"] / first)

    for group in groups:
        group["initial_lr"] = group["lr"]


def share(settings: Settings, progress: float, length: float) -> float:
    """Share of the learning rate in a step, in [0, 1].

    ``progress`` is the share of the training that is done, ``length`` that of the step. The rate
    rises as a line over the warm-up and reaches its whole at the end of it. Then it falls to 0 as a
    cosine (Loshchilov & Hutter 2017, eq. 5, without restarts) or as a line, or to a tenth at half
    and again at three quarters of what is left (He et al. 2016).
    """
    if progress < settings.warmup:
        return min(1.0, (progress + length) / settings.warmup)

    done = (progress - settings.warmup) / (1 - settings.warmup)
    if settings.schedule == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    if settings.schedule == "linear":
        return 1 - done
    if settings.schedule == "step":
        return 0.1 ** ((done >= 0.5) + (done >= 0.75))
    return 1.0


def step(
    optimiser: torch.optim.Optimizer,
    settings: Settings,
    progress: float,
    length: float,
    *,
    networks: int = 0,
) -> None:
    """Take one step of the optimiser by the recipe.

    With ``networks`` the first axis of each parameter counts networks, whose gradients are clipped
    each by its own norm.
    """
    if settings.schedule != "constant" or settings.warmup:
        rate = share(settings, progress, length)
        for group in optimiser.param_groups:
            group["lr"] = group["initial_lr"] * rate

    if settings.clip:
        clip(list(parameters(optimiser)), settings.clip, networks)

    if settings.weight_decay:
        # Apart from the gradient, as AdamW has it (Loshchilov & Hutter 2019, Algorithm 2).
        with torch.no_grad():
            for group in optimiser.param_groups:
                for weights in group["params"]:
                    weights.mul_(1 - group["lr"] * settings.weight_decay)
    optimiser.step()


def clip(parameters: list[Tensor], limit: float, networks: int) -> None:
    """Scale the gradients of each network to a norm of at most ``limit``."""
    if not networks:
        torch.nn.utils.clip_grad_norm_(parameters, limit)
        return

    gradients = [one.grad for one in parameters if one.grad is not None]
    squares = [gradient.reshape(networks, -1).square().sum(1) for gradient in gradients]
    norms = torch.stack(squares).sum(0).sqrt()
    # As torch's function: a norm of 0 divides nothing.
    scales = (limit / (norms + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(scales.reshape(-1, *[1] * (gradient.dim() - 1)))


def parameters(optimiser: torch.optim.Optimizer) -> Iterator[Tensor]:
    """All parameters of an optimiser."""
    for group in optimiser.param_groups:
        yield from group["params"]
