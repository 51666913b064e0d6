"""Images out of focus, in motion and seen while zooming."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from bench_uq.conditions.corruption.canvas import Canvas
from bench_uq.conditions.corruption.smoothing import smoothed


def gaussian_blur(canvas: Canvas, sigma: float) -> Tensor:
    """Return the images blurred with a Gaussian."""
    return smoothed(canvas.images, sigma * canvas.unit)


def defocus_blur(canvas: Canvas, radius: float, sigma: float) -> Tensor:
    """Return the images blurred with a disk, whose edge is softened by a Gaussian of three pixels."""
    kernel = disk(radius * canvas.unit, sigma * canvas.unit)
    reach = len(kernel) // 2
    height, width = canvas.images.shape[-2:]
    edges = "reflect" if reach < min(height, width) else "replicate"
    wide = functional.pad(canvas.images, (reach,) * 4, mode=edges)
    blurred = torch.zeros_like(canvas.images)
    # Unlike a convolution, which GPUs may do in TF32, a sum of moved images is the same on all devices.
    for row, column in torch.nonzero(kernel).tolist():
        blurred += (
            kernel[row, column].item() * wide[..., row : row + height, column : column + width]
        )
    return blurred


def disk(radius: float, sigma: float) -> Tensor:
    """Return the kernel of a disk: equal weights within the radius, then 3x3 pixels of a Gaussian."""
    reach = math.floor(radius) + 1
    across = torch.arange(-reach, reach + 1, dtype=torch.float64)
    inside = (across[:, None] ** 2 + across**2 <= radius**2).double()
    tap = math.exp(-0.5 / sigma**2)
    soft = torch.tensor([tap, 1, tap], dtype=torch.float64) / (1 + 2 * tap)
    kernel = (inside / inside.sum())[None, None]
    return functional.conv2d(kernel, soft[:, None] * soft[None, None, None], padding=1)[0, 0]


def motion_blur(canvas: Canvas, radius: float, sigma: float) -> Tensor:
    """Return the images smeared along a direction of their own, within 45 degrees of the horizontal."""
    return smeared(
        canvas.images, radius * canvas.unit, sigma * canvas.unit, canvas.uniform(-45, 45)
    )


def smeared(images: Tensor, radius: float, sigma: float, degrees: Tensor) -> Tensor:
    """Return images smeared to one side with half a Gaussian, each at its own angle (B,); edges go on as they are.

    The weights and whole-pixel steps are those of ImageMagick's MotionBlurImage, which both papers use.
    """
    width = 2 * math.ceil(radius) + 1
    weights = (-0.5 * (torch.arange(width, dtype=torch.float64) / sigma) ** 2).exp()
    weights = weights / weights.sum()
    radians = torch.deg2rad(degrees.double())
    blurred = torch.zeros_like(images)
    for step, weight in enumerate(weights.tolist()):
        right, down = (
            (step * along - 0.5).ceil().long() for along in (radians.cos(), radians.sin())
        )
        blurred += weight * _stepped(images, down, right)
    return blurred


def _stepped(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Return each image as seen some whole pixels (B,) further down and right."""
    batch, _, height, width = images.shape
    rows = (torch.arange(height, device=images.device) + down[:, None]).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) + right[:, None]).clamp(0, width - 1)
    examples = torch.arange(batch, device=images.device)[:, None, None]
    return images.movedim(1, -1)[examples, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def zoom_blur(canvas: Canvas, count: int, step: float) -> Tensor:
    """Return the mean of the images and of ``count`` zooms into them: 1, 1 + step, 1 + 2 step and so on."""
    layers = [zoomed(canvas.images, 1 + index * step) for index in range(count)]
    return (canvas.images + torch.stack(layers).sum(0)) / (count + 1)


def zoomed(images: Tensor, factor: float) -> Tensor:
    """Return the middle of images, cut at whole pixels, enlarged to their size."""
    size = images.shape[-2:]
    for axis, line in zip((-2, -1), _middles(size, factor), strict=True):
        images = images.narrow(axis, *line)
    enlarged = [round(side * factor) for side in images.shape[-2:]]
    images = functional.interpolate(images, size=enlarged, mode="bilinear", align_corners=True)
    for axis, side, full in zip((-2, -1), size, enlarged, strict=True):
        images = images.narrow(axis, (full - side) // 2, side)
    return images


def _middles(size: torch.Size, factor: float) -> Iterator[tuple[int, int]]:
    """Yield start and length of what a zoom shows of each side."""
    for side in size:
        length = math.ceil(side / factor)
        yield (side - length) // 2, length
