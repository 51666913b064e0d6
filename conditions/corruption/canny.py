"""Edges by Canny's method."""

import torch
from torch import Tensor
from torch.nn import functional

from bench_uq.conditions.corruption.canvas import Canvas
from bench_uq.conditions.corruption.geometry import sampled
from bench_uq.conditions.corruption.smoothing import smoothed


def canny_edges(canvas: Canvas, sigma: float, low: float, high: float) -> Tensor:
    """1 at edges and 0 elsewhere, with scikit-image's defaults: no edges at the image's border."""
    across, down = gradients(smoothed(canvas.images, sigma * canvas.unit, "none"))
    size = across.square().add(down.square()).sqrt()
    inner = torch.zeros_like(size, dtype=torch.bool)
    # At the border a neighbour is missing to compare with.
    inner[..., 1:-1, 1:-1] = True
    # An edge is the steeper, the fewer pixels it is blurred over.
    found = linked(crests(size, across, down) & inner, size * canvas.unit, low, high)
    return found.to(canvas.images)


def gradients(images: Tensor) -> tuple[Tensor, Tensor]:
    """Sobel's gradients in x and in y of images (B, 1, H, W): eight times the slope."""
    wide = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    columns = wide[..., :-2, :] + 2 * wide[..., 1:-1, :] + wide[..., 2:, :]
    rows = wide[..., :-2] + 2 * wide[..., 1:-1] + wide[..., 2:]
    return columns[..., 2:] - columns[..., :-2], rows[..., 2:, :] - rows[..., :-2, :]


def crests(size: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Whether the gradient is as large as one step along it, up and down, by interpolation."""
    longest = torch.maximum(across.abs(), down.abs()).clamp_min(1e-12)
    height, width = size.shape[-2:]
    y = torch.arange(height, device=size.device)[:, None]
    x = torch.arange(width, device=size.device)
    right, below = (across / longest).squeeze(1), (down / longest).squeeze(1)
    before = sampled(size, x - right, y - below)
    after = sampled(size, x + right, y + below)

    # Unlike scikit-image, neighbours equal up to rounding are equal: the two sides of a sharp edge
    # then count on every device.
    return (size > 1e-6) & (size * (1 + 1e-4) >= torch.maximum(before, after))


def linked(lines: Tensor, size: Tensor, low: float, high: float) -> Tensor:
    """Lines above ``low`` that lead, over any of eight neighbours, to a point above ``high``."""
    weak = lines & (size >= low)
    found = weak & (size >= high)
    while True:
        # The largest of 3x3 pixels: one step over all eight neighbours.
        grown = weak & (functional.max_pool2d(found.to(size), 3, stride=1, padding=1) > 0)
        if grown.equal(found):
            return found
        found = grown
