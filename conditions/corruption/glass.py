"""Images behind glass: blurred, with pixels that changed places, and blurred again."""

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from bench_uq.conditions.corruption.canvas import Canvas
from bench_uq.conditions.corruption.smoothing import smoothed, smoothed_down

Blur = Callable[[Tensor, float], Tensor]


def glass(
    canvas: Canvas, sigma: float, reach: int, rounds: int, *, blur: Blur, swap: bool
) -> Tensor:
    """Blur the images, move their pixels, and blur them again."""
    # Pixels of images smaller than the published ones are too coarse to change places: each is
    # split for it.
    parts = math.ceil(1 / canvas.unit)
    fine = canvas.images.repeat_interleave(parts, -1).repeat_interleave(parts, -2)
    canvas = Canvas(fine, canvas.generator, canvas.side)

    blurred = blur(fine, sigma * canvas.unit)
    sources = sources_of(canvas, round(reach * canvas.unit), rounds, swap=swap)  # (B, H W)
    places = sources.to(fine.device)[:, None].expand(-1, fine.shape[1], -1)
    moved = blurred.flatten(2).gather(2, places).view_as(fine)
    return functional.avg_pool2d(blur(moved, sigma * canvas.unit), parts)


# MNIST-C: half of the pixels, each in its turn, swap places with one near it. The published code
# passes multichannel=True for an image without channels: the rows count as pixels and the columns
# as channels, which are not blurred.
glass_swaps = functools.partial(glass, blur=smoothed_down, swap=True)
# CIFAR-C: each pixel becomes a copy of one near it. The published code means to swap them, but its
# swap of two views of one array is a copy.
glass_copies = functools.partial(glass, blur=smoothed, swap=False)


def sources_of(canvas: Canvas, near: int, rounds: int, *, swap: bool) -> Tensor:
    """The pixel that each pixel comes from, (B, H W), after a walk from the last to the first.

    As published, pixels close to the edges stay, and places to the right or below are nearer by
    one pixel than places to the left or above.
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
