"""Lines drawn over images, at 28x28 pixels."""

import math

import torch
from torch import Tensor

from bench_uq.conditions.corruption.canvas import Canvas

# Pixels from the middle of a line to the end of its fading.
FADING = 2.3
# Length and height of a step of a zigzag.
STEP = 2.0


def dotted_line(canvas: Canvas) -> Tensor:
    """Draw a line from the left to the right, in two columns of every four."""
    ends = canvas.integers(0, 27, 2)
    first = torch.zeros_like(ends[:, 0])
    pieces = torch.stack((first, ends[:, 0], first + 27, ends[:, 1]), 1)[:, None]
    line = _drawn(canvas, pieces)
    shown = torch.arange(canvas.side, device=line.device) // 2 % 2 == 1
    return canvas.images + canvas.fitted(line * shown)


def zigzag(canvas: Canvas) -> Tensor:
    """Draw a zigzag from the left to the right, along a line that rises or falls by up to 5."""
    left, right = 2, 25
    start, rise = canvas.integers(0, 27), canvas.integers(-5, 5)
    angle = torch.atan(rise / (right - left))
    length = (right - left) / angle.cos()  # (B,), 23 to 23.6: six peaks fit each

    # Points along the line and across it: the start, the peaks at 1, 3, .., 11 steps, the end.
    peaks = torch.arange(1, 12, 2, dtype=length.dtype, device=length.device)
    heights = STEP * torch.tensor([1.0, -1, 1, -1, 1, -1]).to(length)
    last = heights[-1] / (2 * (length - 2 * STEP * (length // (2 * STEP))))
    start_point, places = torch.zeros_like(length)[:, None], STEP * peaks.expand(len(length), -1)
    along = torch.cat((start_point, places, length[:, None]), 1)
    across = torch.cat((start_point, heights.expand(len(length), -1), last[:, None]), 1)

    cosine, sine = angle.cos()[:, None], angle.sin()[:, None]
    x = left + cosine * along - sine * across  # (B, 8)
    y = start[:, None] + sine * along + cosine * across
    pieces = torch.stack((x[:, :-1], y[:, :-1], x[:, 1:], y[:, 1:]), -1)
    return canvas.images + canvas.fitted(_drawn(canvas, pieces))


def _drawn(canvas: Canvas, pieces: Tensor) -> Tensor:
    """Draw pieces of lines (B, n, 4), columns and rows of their ends, as (B, 1, side, side).

    Ends go from left to right. Brightness falls with the distance d in the column, as
    1 + log(1 - d / 2.3).
    """
    at = torch.arange(canvas.side, dtype=pieces.dtype, device=pieces.device)
    x0, y0, x1, y1 = (end[..., None, None] for end in pieces.unbind(-1))
    distance = (at[:, None] - y0 - (y1 - y0) / (x1 - x0) * (at - x0)).abs()  # (B, n, rows, columns)
    bright = (1 + torch.log((1 - distance / FADING).clamp_min(math.exp(-2)))).clamp(0, 1)
    within = (at >= x0.floor()) & (at < x1.ceil())
    return (bright * within).sum(1, keepdim=True).clamp(0, 1)
