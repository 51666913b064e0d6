"""Noise of single pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from bench_uq.conditions.corruption.canvas import Canvas


def gaussian_noise(canvas: Canvas, std: float) -> Tensor:
    """Return x + N(0, std²)."""
    return canvas.images + canvas.normal(0, std, *canvas.images.shape[1:])


def speckle_noise(canvas: Canvas, std: float) -> Tensor:
    """Return x (1 + N(0, std²))."""
    return canvas.images * (1 + canvas.normal(0, std, *canvas.images.shape[1:]))


def shot_noise(canvas: Canvas, photons: float) -> Tensor:
    """Return Poisson(x photons) / photons: the variance is x / photons."""
    rates = (canvas.images * photons).to("cpu", torch.float32).contiguous()
    return torch.poisson(rates, generator=canvas.generator).to(canvas.images) / photons


def impulse_noise(canvas: Canvas, share: float) -> Tensor:
    """Return x with a share of its numbers replaced, half of them by 0 and half by 1; each channel has its own."""
    drawn = canvas.uniform(0, 1, *canvas.images.shape[1:])
    return canvas.images.masked_fill(drawn < share, 0).masked_fill(drawn < share / 2, 1)
