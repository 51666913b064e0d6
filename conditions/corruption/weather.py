"""Fog and snow."""

from __future__ import annotations

import torch
from torch import Tensor

from bench_uq.conditions.corruption.blur import smeared, zoomed
from bench_uq.conditions.corruption.canvas import Canvas


def fog(canvas: Canvas, density: float, decay: float, size: int) -> Tensor:
    """Return the images with a fractal added, a corner of one of ``size`` pixels, dimmed to their own maximum."""
    brightest = canvas.images.amax((1, 2, 3), keepdim=True)
    layer = canvas.fitted(plasma(canvas, decay, size)[:, None, : canvas.side, : canvas.side])
    return (canvas.images + density * layer) * brightest / (brightest + density)


def plasma(canvas: Canvas, decay: float, size: int) -> Tensor:
    """Return fractals by the diamond-square algorithm, periodic, from 0 to 1 each, (B, size, size).

    ``size`` is a power of two; the noise falls by the square of ``decay`` whenever its grid doubles, as published.
    """
    heights = canvas.images.new_zeros(len(canvas.images), 1, 1)
    noise = 1.0
    while heights.shape[-1] < size:
        heights = _finer(canvas, heights, noise)
        noise /= decay**2
    low, high = heights.amin((1, 2), keepdim=True), heights.amax((1, 2), keepdim=True)
    return (heights - low) / (high - low)


def _finer(canvas: Canvas, corners: Tensor, noise: float) -> Tensor:
    """Return a grid of twice the side: middles of squares, then of the diamonds between them, are means plus noise."""
    side = corners.shape[-1]
    drawn = canvas.uniform(-noise, noise, 3, side, side)
    below = corners + corners.roll(-1, 1)
    middles = (below + below.roll(-1, 2)) / 4 + drawn[:, 0]
    tops = (corners + corners.roll(-1, 2) + middles + middles.roll(1, 1)) / 4 + drawn[:, 1]
    lefts = (below + middles + middles.roll(1, 2)) / 4 + drawn[:, 2]
    grid = torch.stack(
        (torch.stack((corners, tops), -1), torch.stack((lefts, middles), -1)), 2
    )  # (B, s, 2, s, 2)
    return grid.flatten(3).flatten(1, 2)


def snow(
    canvas: Canvas,
    mean: float,
    std: float,
    zoom: float,
    least: float,
    radius: float,
    sigma: float,
    kept: float,
) -> Tensor:
    """Return the images whitened, with flakes: enlarged noise above ``least``, smeared downwards, from two sides."""
    flakes = zoomed(canvas.normal(mean, std, 1, canvas.side, canvas.side), zoom)
    flakes = torch.where(flakes < least, 0, flakes).clamp(0, 1)
    layer = canvas.fitted(smeared(flakes, radius, sigma, canvas.uniform(-135, -45)))
    grey = (
        canvas.images * torch.tensor([0.299, 0.587, 0.114]).to(canvas.images)[:, None, None]
    ).sum(1, keepdim=True)
    white = torch.maximum(canvas.images, 1.5 * grey + 0.5)
    return kept * canvas.images + (1 - kept) * white + layer + layer.flip(-2, -1)
