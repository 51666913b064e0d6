"""The schedule of Auto-PGD, which keeps the best point of its path (Croce and Hein 2020)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from bench_uq.conditions._gradients import Slope, per_example
from bench_uq.conditions._norms import Norm

# Their alpha and rho: the share of a new step beside momentum, and the share of steps that must
# rise for the step size to stay.
NEW, RISING = 0.75, 0.75


def climb(
    slope: Callable[[Tensor], Slope],
    inputs: Tensor,
    start: Tensor,
    ball: Norm,
    epsilon: float,
    steps: int,
) -> Tensor:
    """The highest point of a path from ``start`` within epsilon of the inputs (algorithm 1)."""

    def inside(images: Tensor) -> Tensor:
        return (inputs + ball.within(images - inputs, epsilon)).clamp(0, 1)

    here = before = best = start
    way = top = slope(start)
    size = torch.full_like(top.value, 2 * epsilon)
    rises, last, halved = torch.zeros_like(size), top.value, torch.ones_like(size, dtype=torch.bool)
    checked, checks = 0, checkpoints(steps)

    for step in range(1, steps + 1):
        aim = inside(here + per_example(size, here) * ball.steepest(way.gradient))
        share = 1.0 if step == 1 else NEW
        moved = inside(here + share * (aim - here) + (1 - share) * (here - before))
        here, before, value = moved, here, way.value

        way = slope(here)
        rises += way.value > value
        best, top = _chosen(way.value > top.value, (here, way), (best, top))

        if step in checks:
            # The size is halved where too few steps rose, or where neither it nor the best changed.
            halved = (rises < RISING * (step - checked)) | (~halved & (last >= top.value))
            size = torch.where(halved, size / 2, size)
            here, way = _chosen(halved, (best, top), (here, way))
            rises, last, checked = torch.zeros_like(rises), top.value, step
    return best


def checkpoints(steps: int) -> set[int]:
    """The steps after which step sizes are judged (their section 3.1)."""
    found, at, gap = set[int](), 0.22, 0.22
    while at < 1:
        # Without rounding 0.57 of 100 steps would be a little more than 57.
        found.add(math.ceil(round(at * steps, 9)))
        gap = max(gap - 0.03, 0.06)
        at += gap
    return found


def _chosen(
    chosen: Tensor, one: tuple[Tensor, Slope], other: tuple[Tensor, Slope]
) -> tuple[Tensor, Slope]:
    """The first point with its slope where it is chosen, (B,), else the second."""
    mask = per_example(chosen, one[0])
    gradient = torch.where(mask, one[1].gradient, other[1].gradient)
    value = torch.where(chosen, one[1].value, other[1].value)
    return torch.where(mask, one[0], other[0]), Slope(gradient, value, one[1].draws)
