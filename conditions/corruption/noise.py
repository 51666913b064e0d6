"""Noise of single pixels."""

import torch
from torch import Tensor

from bench_uq.conditions.corruption.canvas import Canvas


def gaussian_noise(canvas: Canvas, std: float) -> Tensor:
    """x + N(0, std²)."""
    return canvas.images + canvas.normal(0, std, *canvas.images.shape[1:])


def speckle_noise(canvas: Canvas, std: float) -> Tensor:
    """x (1 + N(0, std²))."""
    return canvas.images * (1 + canvas.normal(0, std, *canvas.images.shape[1:]))


def shot_noise(canvas: Canvas, photons: float) -> Tensor:
    """Poisson(x photons) / photons, with the variance x / photons."""
    rates = (canvas.images * photons).to("cpu", torch.float32).contiguous()
    return torch.poisson(rates, generator=canvas.generator).to(canvas.images) / photons


def impulse_noise(canvas: Canvas, share: float) -> Tensor:
    """Replace a share of the numbers, half of them by 0 and half by 1, in each channel its own."""
    drawn = canvas.uniform(0, 1, *canvas.images.shape[1:])
    return canvas.images.masked_fill(drawn < share, 0).masked_fill(drawn < share / 2, 1)
