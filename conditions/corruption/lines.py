"""Lines drawn over images, at 28x28 pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench_uq.conditions.corruption.canvas import Canvas

#: Pixels from its middle at which the logarithm of a line's fading ends, and the length and height of a zigzag's step.
FADING = 2.3
STEP = 2.0


def dotted_line(canvas: Canvas) -> Tensor:
    """Return the images with a line from the left to the right, two columns of every four."""
    ends = canvas.integers(0, 27, 2)
    first = torch.zeros_like(ends[:, 0])
    line = _drawn(canvas, torch.stack((first, ends[:, 0], first + 27, ends[:, 1]), 1)[:, None])
    shown = torch.arange(canvas.side, device=line.device) // 2 % 2 == 1
    return canvas.images + canvas.fitted(line * shown)


def zigzag(canvas: Canvas) -> Tensor:
    """Return the images with a zigzag from the left to the right, along a line that rises or falls by up to 5."""
    left, right = 2, 25
    start, rise = canvas.integers(0, 27), canvas.integers(-5, 5)
    angle = torch.atan(rise / (right - left))
    length = (right - left) / angle.cos()  # (B,), 23 to 23.6: six peaks fit each
    peaks = torch.arange(
        1, 12, 2, dtype=length.dtype, device=length.device
    )  # 1, 3, .., 11 steps along
    heights = STEP * torch.tensor([1.0, -1, 1, -1, 1, -1]).to(length)
    last = heights[-1] / (2 * (length - 2 * STEP * (length // (2 * STEP))))
    along = torch.cat(
        (torch.zeros_like(length)[:, None], STEP * peaks.expand(len(length), -1), length[:, None]),
        1,
    )
    across = torch.cat(
        (torch.zeros_like(last)[:, None], heights.expand(len(length), -1), last[:, None]), 1
    )
    cosine, sine = angle.cos()[:, None], angle.sin()[:, None]
    x = left + cosine * along - sine * across  # (B, 8)
    y = start[:, None] + sine * along + cosine * across
    pieces = torch.stack((x[:, :-1], y[:, :-1], x[:, 1:], y[:, 1:]), -1)
    return canvas.images + canvas.fitted(_drawn(canvas, pieces))


def _drawn(canvas: Canvas, pieces: Tensor) -> Tensor:
    """Return pieces of lines (B, n, 4), columns and rows of their ends from left to right, as (B, 1, side, side).

    Brightness falls with the distance d in the column, as 1 + log(1 - d / 2.3).
    """
    at = torch.arange(canvas.side, dtype=pieces.dtype, device=pieces.device)
    x0, y0, x1, y1 = (end[..., None, None] for end in pieces.unbind(-1))
    distance = (at[:, None] - y0 - (y1 - y0) / (x1 - x0) * (at - x0)).abs()  # (B, n, rows, columns)
    bright = (1 + torch.log((1 - distance / FADING).clamp_min(math.exp(-2)))).clamp(0, 1)
    within = (at >= x0.floor()) & (at < x1.ceil())
    return (bright * within).sum(1, keepdim=True).clamp(0, 1)
