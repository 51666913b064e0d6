"""Changes of brightness, contrast and colour."""

from __future__ import annotations

import torch
from torch import Tensor

from bench_uq.conditions.corruption.canvas import Canvas


def brightness(canvas: Canvas, more: float) -> Tensor:
    """Return the images with the V of HSV raised, hue and saturation kept: V is the largest channel."""
    value = canvas.images.amax(1, keepdim=True)
    raised = (value + more).clamp(0, 1)
    # hue and saturation are ratios of channels: all grow by one factor; black has neither, and turns grey
    return torch.where(value > 0, canvas.images * (raised / value.clamp_min(1e-12)), raised)


def contrast(canvas: Canvas, share: float) -> Tensor:
    """Return the images with a share of their distance from the mean of each channel."""
    mean = canvas.images.mean((-2, -1), keepdim=True)
    return mean + share * (canvas.images - mean)


def saturate(canvas: Canvas, factor: float, more: float) -> Tensor:
    """Return the images with the S of HSV at factor S + more, clipped to [0, 1]; hue and value kept.

    A channel is V (1 - S f) with f in [0, 1] of the hue; that of grey, which has none, is red's, as in scikit-image.
    """
    value = canvas.images.amax(1, keepdim=True)
    span = value - canvas.images.amin(1, keepdim=True)
    red = torch.tensor([0.0, 1.0, 1.0]).to(canvas.images)[:, None, None]
    hue = torch.where(span > 0, (value - canvas.images) / span.clamp_min(1e-12), red)
    saturation = (factor * span / value.clamp_min(1e-12) + more).clamp(0, 1)
    return value * (1 - saturation * hue)
