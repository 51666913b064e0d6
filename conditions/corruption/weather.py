"""Fog and snow."""

import torch
from torch import Tensor

from bench_uq.conditions.corruption.blur import smeared, zoomed
from bench_uq.conditions.corruption.canvas import Canvas


def fog(canvas: Canvas, density: float, decay: float, size: int) -> Tensor:
    """Add the corner of a fractal of ``size`` pixels, and dim the images to their own maximum."""
    brightest = canvas.images.amax((1, 2, 3), keepdim=True)
    layer = canvas.fitted(plasma(canvas, decay, size)[:, None, : canvas.side, : canvas.side])
    return (canvas.images + density * layer) * brightest / (brightest + density)


def plasma(canvas: Canvas, decay: float, size: int) -> Tensor:
    """Periodic fractals from 0 to 1 by the diamond-square algorithm, (B, size, size).

    ``size`` is a power of two. As published, the noise falls by the square of ``decay`` whenever
    its grid doubles.
    """
    heights = canvas.images.new_zeros(len(canvas.images), 1, 1)
    noise = 1.0
    while heights.shape[-1] < size:
        heights = _finer(canvas, heights, noise)
        noise /= decay**2
    low, high = heights.amin((1, 2), keepdim=True), heights.amax((1, 2), keepdim=True)
    return (heights - low) / (high - low)


def _finer(canvas: Canvas, corners: Tensor, noise: float) -> Tensor:
    """Double the side of a grid: middles of squares, then of diamonds, are means plus noise."""
    side = corners.shape[-1]
    drawn = canvas.uniform(-noise, noise, 3, side, side)
    below = corners + corners.roll(-1, 1)
    middles = (below + below.roll(-1, 2)) / 4 + drawn[:, 0]
    tops = (corners + corners.roll(-1, 2) + middles + middles.roll(1, 1)) / 4 + drawn[:, 1]
    lefts = (below + middles + middles.roll(1, 2)) / 4 + drawn[:, 2]
    upper, lower = torch.stack((corners, tops), -1), torch.stack((lefts, middles), -1)
    grid = torch.stack((upper, lower), 2)  # (B, s, 2, s, 2)
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
    """Whiten the images, and add flakes: enlarged noise above ``least``, smeared downwards."""
    flakes = zoomed(canvas.normal(mean, std, 1, canvas.side, canvas.side), zoom)
    flakes = torch.where(flakes < least, 0, flakes).clamp(0, 1)
    layer = canvas.fitted(smeared(flakes, radius, sigma, canvas.uniform(-135, -45)))

    shares = torch.tensor([0.299, 0.587, 0.114]).to(canvas.images)[:, None, None]
    grey = (canvas.images * shares).sum(1, keepdim=True)
    white = torch.maximum(canvas.images, 1.5 * grey + 0.5)
    # The layer counts twice, the second time turned by 180 degrees, as published.
    return kept * canvas.images + (1 - kept) * white + layer + layer.flip(-2, -1)
