"""Gaussian blur as a product with one matrix per side, which is exact on every device."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

# Beyond the image lies its last pixel again, its mirror image with the last pixel doubled, or
# nothing, which has no weight.
Edges = Literal["nearest", "mirror", "none"]


def smoothed(
    images: Tensor, sigma: float, edges: Edges = "nearest", truncate: float = 4.0
) -> Tensor:
    """Blur images (..., H, W) with a Gaussian cut off at ``truncate`` sigma."""
    columns = _matrix(images.shape[-1], sigma, edges, truncate).to(images)
    return smoothed_down(images, sigma, edges, truncate) @ columns.T


def smoothed_down(
    images: Tensor, sigma: float, edges: Edges = "nearest", truncate: float = 4.0
) -> Tensor:
    """Blur images as ``smoothed`` does, down their columns only."""
    return _matrix(images.shape[-2], sigma, edges, truncate).to(images) @ images


def _matrix(side: int, sigma: float, edges: Edges, truncate: float) -> Tensor:
    """Weights of the pixels of a line in each blurred pixel, (side, side)."""
    radius = int(truncate * sigma + 0.5)
    steps = torch.arange(-radius, radius + 1)
    weights = (-0.5 * (steps.double() / max(sigma, 1e-6)) ** 2).exp()

    sources = torch.arange(side)[:, None] + steps  # (side, 2 radius + 1)
    inside = torch.ones_like(sources, dtype=torch.bool)
    if edges == "none":
        inside = (sources >= 0) & (sources < side)
    if edges == "mirror":
        sources = sources.remainder(2 * side)
        sources = torch.minimum(sources, 2 * side - 1 - sources)
    chosen = functional.one_hot(sources.clamp(0, side - 1), side).double()
    matrix = (chosen * (weights * inside)[..., None]).sum(1)
    return matrix / matrix.sum(1, keepdim=True)
