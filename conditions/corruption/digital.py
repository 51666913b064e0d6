"""JPEG compression, pixelation and inverted stripes."""

import io

import numpy as np
import torch
from torch import Tensor

from bench_uq.conditions.corruption.canvas import Canvas


def jpeg_compression(canvas: Canvas, quality: int) -> Tensor:
    """Compress the images by Pillow's JPEG at a quality of 1 to 100, by way of 8 bits."""
    whole = (canvas.images * 255).round().to("cpu", torch.uint8)
    pixels = whole.movedim(1, -1).contiguous().numpy()
    stored = np.stack([_jpeg(image, quality) for image in pixels])
    return torch.from_numpy(stored).movedim(-1, 1).to(canvas.images) / 255


def _jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Compress an image (H, W, 3) of 8 bits."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def pixelate(canvas: Canvas, share: float) -> Tensor:
    """Shrink the images to a share of their sides and enlarge them, by Pillow's box filter."""
    height, width = canvas.images.shape[-2:]
    rows = _there_and_back(height, int(height * share)).to(canvas.images)
    columns = _there_and_back(width, int(width * share)).to(canvas.images)
    return rows @ canvas.images @ columns.T


def _there_and_back(side: int, fewer: int) -> Tensor:
    """Weights of the pixels of a line in each pixel of the result, (side, side)."""
    return _box(fewer, side) @ _box(side, fewer)


def _box(source: int, target: int) -> Tensor:
    """Weights of ``source`` pixels in each of ``target`` pixels, (target, source)."""
    # Like Pillow's BOX, a pixel counts whole if its centre lies within the box, and one at least.
    ratio = source / target
    centres = (torch.arange(target, dtype=torch.float64)[:, None] + 0.5) * ratio
    away = (torch.arange(source) + 0.5 - centres) / max(ratio, 1.0)
    weights = ((away > -0.5) & (away <= 0.5)).double()
    return weights / weights.sum(1, keepdim=True)


def stripe(canvas: Canvas) -> Tensor:
    """Invert the left and the right quarter of the images."""
    width = canvas.images.shape[-1]
    quarter = round(width / 4)
    column = torch.arange(width, device=canvas.images.device)
    middle = (column >= quarter) & (column < width - quarter)
    return torch.where(middle, canvas.images, 1 - canvas.images)
