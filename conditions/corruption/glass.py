"""Images behind glass: blurred, with pixels that changed places, and blurred again."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from bench_uq.conditions.corruption.canvas import Canvas
from bench_uq.conditions.corruption.smoothing import smoothed


def glass_swaps(canvas: Canvas, sigma: float, reach: int, rounds: int) -> Tensor:
    """Return images in which half of the pixels, each in its turn, swapped places with one near it (MNIST-C)."""
    return _glass(canvas, sigma, reach, rounds, swap=True)


def glass_copies(canvas: Canvas, sigma: float, reach: int, rounds: int) -> Tensor:
    """Return images in which each pixel, in its turn, became a copy of one near it (CIFAR-C).

    The published code means to swap them, but its swap of two views of one array of colours is a copy.
    """
    return _glass(canvas, sigma, reach, rounds, swap=False)


def _glass(canvas: Canvas, sigma: float, reach: int, rounds: int, *, swap: bool) -> Tensor:
    """Return the images behind glass.

    Pixels of images smaller than the published ones are too coarse to change places: each is split for it.
    """
    parts = math.ceil(1 / canvas.unit)
    fine = canvas.images.repeat_interleave(parts, -1).repeat_interleave(parts, -2)
    canvas = Canvas(fine, canvas.generator, canvas.side)
    blurred = smoothed(fine, sigma * canvas.unit)
    sources = sources_of(canvas, round(reach * canvas.unit), rounds, swap=swap).to(
        fine.device
    )  # (B, H W)
    moved = (
        blurred.flatten(2).gather(2, sources[:, None].expand(-1, fine.shape[1], -1)).view_as(fine)
    )
    return functional.avg_pool2d(smoothed(moved, sigma * canvas.unit), parts)


def sources_of(canvas: Canvas, near: int, rounds: int, *, swap: bool) -> Tensor:
    """Return the pixel that each pixel comes from, (B, H W), after walking from the last to the first of all.

    As published, pixels close to the edges stay, and places to the right or below are one nearer than others.
    """
    batch, (height, width) = len(canvas.images), canvas.images.shape[-2:]
    examples = torch.arange(batch).numpy()
    sources = torch.arange(height * width).repeat(batch, 1).T.contiguous().numpy()  # (H W, B)
    for _ in range(rounds):
        for row in range(height - near, near, -1):
            steps = torch.randint(-near, near, (2, width, batch), generator=canvas.generator)
            if swap:
                steps = steps * torch.randint(2, (width, batch), generator=canvas.generator)
            away = (steps[0] * width + steps[1]).numpy()
            for column in range(width - near, near, -1):
                here = row * width + column
                there = here + away[column]
                taken = sources[there, examples]
                if swap:
                    sources[there, examples] = sources[here]
                sources[here] = taken
    return torch.from_numpy(sources.T.copy())
