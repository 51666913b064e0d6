"""Images out of focus, in motion and seen while zooming."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench_uq.conditions.corruption.canvas import Canvas
from bench_uq.conditions.corruption.smoothing import smoothed


def gaussian_blur(canvas: Canvas, sigma: float) -> Tensor:
    """Blur the images with a Gaussian."""
    return smoothed(canvas.images, sigma * canvas.unit)


def defocus_blur(canvas: Canvas, radius: float, sigma: float) -> Tensor:
    """Blur the images with a disk, whose edge is softened by a Gaussian of three pixels."""
    kernel = disk(radius * canvas.unit, sigma * canvas.unit)
    reach = len(kernel) // 2
    height, width = canvas.images.shape[-2:]
    edges = "reflect" if reach < min(height, width) else "replicate"
    wide = functional.pad(canvas.images, (reach,) * 4, mode=edges)

    # A sum of moved images is the same on all devices, unlike a convolution: GPUs may use TF32.
    blurred = torch.zeros_like(canvas.images)
    for row, column in torch.nonzero(kernel).tolist():
        moved = wide[..., row : row + height, column : column + width]
        blurred += kernel[row, column].item() * moved
    return blurred


def disk(radius: float, sigma: float) -> Tensor:
    """Kernel of a disk: equal weights within the radius, blurred with 3x3 pixels of a Gaussian."""
    reach = math.floor(radius) + 1
    across = torch.arange(-reach, reach + 1, dtype=torch.float64)
    inside = (across[:, None] ** 2 + across**2 <= radius**2).double()
    tap = math.exp(-0.5 / sigma**2)
    soft = torch.tensor([tap, 1, tap], dtype=torch.float64) / (1 + 2 * tap)
    kernel = (inside / inside.sum())[None, None]
    return functional.conv2d(kernel, soft[:, None] * soft[None, None, None], padding=1)[0, 0]


def motion_blur(canvas: Canvas, radius: float, sigma: float) -> Tensor:
    """Smear each image along a direction of its own, within 45 degrees of the horizontal."""
    degrees = canvas.uniform(-45, 45)
    return smeared(canvas.images, radius * canvas.unit, sigma * canvas.unit, degrees)


def smeared(images: Tensor, radius: float, sigma: float, degrees: Tensor) -> Tensor:
    """Smear images to one side with half a Gaussian, each at its own angle (B,).

    Beyond an edge its pixels go on. Weights and whole-pixel steps are those of ImageMagick's
    MotionBlurImage, which both papers use.
    """
    width = 2 * math.ceil(radius) + 1
    weights = (-0.5 * (torch.arange(width, dtype=torch.float64) / sigma) ** 2).exp()
    weights = weights / weights.sum()

    radians = torch.deg2rad(degrees.double())
    blurred = torch.zeros_like(images)
    for step, weight in enumerate(weights.tolist()):
        right = (step * radians.cos() - 0.5).ceil().long()
        down = (step * radians.sin() - 0.5).ceil().long()
        blurred += weight * _stepped(images, down, right)
    return blurred


def _stepped(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Look at each image some whole pixels (B,) further down and right."""
    batch, _, height, width = images.shape
    rows = (torch.arange(height, device=images.device) + down[:, None]).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) + right[:, None]).clamp(0, width - 1)
    examples = torch.arange(batch, device=images.device)[:, None, None]
    return images.movedim(1, -1)[examples, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def zoom_blur(canvas: Canvas, count: int, step: float) -> Tensor:
    """Mean of the images and of ``count`` zooms into them: 1, 1 + step, 1 + 2 step and so on."""
    # Numbers of NumPy's arange, as published: their last bit decides between 32 and 33 rows.
    factors = np.arange(1, 1 + (count - 0.5) * step, step).tolist()
    layers = [zoomed(canvas.images, factor) for factor in factors]
    return (canvas.images + torch.stack(layers).sum(0)) / (count + 1)


def zoomed(images: Tensor, factor: float) -> Tensor:
    """Enlarge the middle of images, cut at whole pixels, to their size."""
    height, width = images.shape[-2:]
    part = _middle(images, math.ceil(height / factor), math.ceil(width / factor))
    size = [round(side * factor) for side in part.shape[-2:]]
    # Corners on corners, as scipy's zoom does, which the paper uses.
    enlarged = functional.interpolate(part, size=size, mode="bilinear", align_corners=True)
    return _middle(enlarged, height, width)


def _middle(images: Tensor, height: int, width: int) -> Tensor:
    """Cut the middle of a size out of images."""
    top, left = (images.shape[-2] - height) // 2, (images.shape[-1] - width) // 2
    return images[..., top : top + height, left : left + width]
