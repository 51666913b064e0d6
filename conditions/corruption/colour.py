"""Changes of brightness, contrast and colour."""

import torch
from torch import Tensor

from bench_uq.conditions.corruption.canvas import Canvas


def brightness(canvas: Canvas, more: float) -> Tensor:
    """Raise the V of HSV, which is the largest channel; keep hue and saturation."""
    value = canvas.images.amax(1, keepdim=True)
    raised = (value + more).clamp(0, 1)
    # Hue and saturation are ratios of channels: all grow by one factor. Black has neither, and
    # turns grey.
    return torch.where(value > 0, canvas.images * (raised / value.clamp_min(1e-12)), raised)


def contrast(canvas: Canvas, share: float) -> Tensor:
    """Shrink the distance from the mean of each channel to a share of it."""
    mean = canvas.images.mean((-2, -1), keepdim=True)
    return mean + share * (canvas.images - mean)


def saturate(canvas: Canvas, factor: float, more: float) -> Tensor:
    """Set the S of HSV to factor S + more, clipped to [0, 1]; keep hue and value.

    A channel is V (1 - S f), where the hue determines f in [0, 1].
    """
    value = canvas.images.amax(1, keepdim=True)
    span = value - canvas.images.amin(1, keepdim=True)
    # Grey has no hue: it gets that of red, as in scikit-image.
    red = torch.tensor([0.0, 1.0, 1.0]).to(canvas.images)[:, None, None]
    hue = torch.where(span > 0, (value - canvas.images) / span.clamp_min(1e-12), red)
    saturation = (factor * span / value.clamp_min(1e-12) + more).clamp(0, 1)
    return value * (1 - saturation * hue)
