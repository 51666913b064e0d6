"""What storing and scaling do to images, and inverted stripes."""

from __future__ import annotations

import io

import numpy as np
import torch
from torch import Tensor

from bench_uq.conditions.corruption.canvas import Canvas


def jpeg_compression(canvas: Canvas, quality: int) -> Tensor:
    """Return the images after Pillow's JPEG at a quality of 1 to 100, by way of 8 bits."""
    pixels = (
        (canvas.images * 255).round().to("cpu", torch.uint8).movedim(1, -1).contiguous().numpy()
    )
    stored = np.stack([_jpeg(image, quality) for image in pixels])
    return torch.from_numpy(stored).movedim(-1, 1).to(canvas.images) / 255


def _jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Return an image (H, W, 3) of 8 bits after JPEG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def pixelate(canvas: Canvas, share: float) -> Tensor:
    """Return the images shrunk to a share of their sides and enlarged again, both with Pillow's box filter."""
    rows, columns = (
        _there_and_back(side, int(side * share)).to(canvas.images)
        for side in canvas.images.shape[-2:]
    )
    return rows @ canvas.images @ columns.T


def _there_and_back(side: int, fewer: int) -> Tensor:
    """Return the weights of the pixels of a line in each pixel of it at the end, (side, side)."""
    return _box(fewer, side) @ _box(side, fewer)


def _box(source: int, target: int) -> Tensor:
    """Return the weights of ``source`` pixels in each of ``target``, (target, source).

    Pixels count whole when their centre lies within the box, one at least: Pillow's BOX.
    """
    ratio = source / target
    centres = (torch.arange(target, dtype=torch.float64)[:, None] + 0.5) * ratio
    away = (torch.arange(source) + 0.5 - centres) / max(ratio, 1.0)
    weights = ((away > -0.5) & (away <= 0.5)).double()
    return weights / weights.sum(1, keepdim=True)


def stripe(canvas: Canvas) -> Tensor:
    """Return the images with the quarters of their width at the left and the right inverted."""
    width = canvas.images.shape[-1]
    quarter = round(width / 4)
    column = torch.arange(width, device=canvas.images.device)
    middle = (column >= quarter) & (column < width - quarter)
    return torch.where(middle, canvas.images, 1 - canvas.images)
