"""Gaussian blur as a product with a matrix a side, which keeps it exact on every device."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

#: What lies beyond the image: its last pixel again, its mirror image with the last pixel doubled, or nothing, which
#: then has no weight.
Edges = Literal["nearest", "mirror", "none"]


def smoothed(
    images: Tensor, sigma: float, edges: Edges = "nearest", truncate: float = 4.0
) -> Tensor:
    """Return images (..., H, W) blurred with a Gaussian cut off at ``truncate`` sigma."""
    rows, columns = (_matrix(side, sigma, edges, truncate).to(images) for side in images.shape[-2:])
    return rows @ images @ columns.T


def _matrix(side: int, sigma: float, edges: Edges, truncate: float) -> Tensor:
    """Return the weights of the pixels of a line in each blurred one, (side, side)."""
    radius = int(truncate * sigma + 0.5)
    steps = torch.arange(-radius, radius + 1)
    weights = (-0.5 * (steps.double() / max(sigma, 1e-6)) ** 2).exp()
    sources = torch.arange(side)[:, None] + steps  # (side, 2 radius + 1)
    inside = (
        (sources >= 0) & (sources < side)
        if edges == "none"
        else torch.ones_like(sources, dtype=torch.bool)
    )
    if edges == "mirror":
        sources = sources.remainder(2 * side)
        sources = torch.minimum(sources, 2 * side - 1 - sources)
    chosen = (
        functional.one_hot(sources.clamp(0, side - 1), side).double()
        * (weights * inside)[..., None]
    )
    matrix = chosen.sum(1)
    return matrix / matrix.sum(1, keepdim=True)
