"""Splashes of mud and water."""

import torch
from torch import Tensor
from torch.nn import functional

from bench_uq.conditions.corruption.canny import crests, gradients, linked
from bench_uq.conditions.corruption.canvas import Canvas
from bench_uq.conditions.corruption.smoothing import smoothed

# RGB of 255: mud is brown, on grey images as bright as its red, and water pale turquoise.
MUD = (63, 42, 20)
WATER = (175, 238, 238)

# Pixels up to which the distance from the edge of a drop counts.
FURTHEST = 20
# A filter for light from the upper left.
LIGHT = ((-2, -1, 0), (-1, 1, 1), (0, 1, 2))


def mud(canvas: Canvas, mean: float, std: float, sigma: float, least: float, soft: float) -> Tensor:
    """Cover the images with mud where blurred noise is above ``least``; ``soft`` blurs its edge."""
    cover = smoothed((_liquid(canvas, mean, std, sigma) > least).to(canvas.images), soft)
    cover = canvas.fitted(torch.where(cover < 0.8, 0, cover))
    colour = torch.tensor(MUD[: canvas.images.shape[1]]).to(canvas.images)[:, None, None] / 255
    return canvas.images * (1 - cover) + colour * cover


def water(
    canvas: Canvas, mean: float, std: float, sigma: float, least: float, strength: float
) -> Tensor:
    """Add drops of water, lit from one side by the distance from their edges."""
    liquid = _liquid(canvas, mean, std, sigma)
    drops = (255 * torch.where(liquid < least, 0, liquid).clamp(0, 1)).floor()
    shine = drops * _relief(drops)
    brightest = shine.amax((-2, -1), keepdim=True)
    layer = canvas.fitted(strength * shine / brightest.clamp_min(1))
    colour = torch.tensor(WATER).to(canvas.images)[:, None, None]
    return canvas.images + layer * colour / 255


def _liquid(canvas: Canvas, mean: float, std: float, sigma: float) -> Tensor:
    """Draw blurred noise, (B, 1, side, side)."""
    return smoothed(canvas.normal(mean, std, 1, canvas.side, canvas.side), sigma)


def _relief(drops: Tensor) -> Tensor:
    """Light on drops (B, 1, H, W), whose height is the distance from their edges, over 0 to 255."""
    across, down = gradients(drops)
    size = across.abs() + down.abs()

    # Unlike OpenCV's, these edges are thinned along the gradient itself, and distances are exact.
    edges = linked(crests(size, across, down), size, 50, 150)
    depth = _mean3(_distance(edges.squeeze(1)).clamp_max(FURTHEST).unsqueeze(1)).floor()
    light = torch.tensor(LIGHT, dtype=torch.float64, device=drops.device)[None, None]
    lit = functional.conv2d(_padded(_equalised(depth)).double(), light)
    return _mean3(lit.round().clamp(0, 255).to(drops))


def _distance(edges: Tensor) -> Tensor:
    """Distance of each pixel to the nearest edge, (B, H, W); far if there is no edge."""
    far = 1e6
    height, width = edges.shape[-2:]
    y = torch.arange(height, device=edges.device, dtype=torch.float32)
    x = torch.arange(width, device=edges.device, dtype=torch.float32)

    # First the nearest edge in the same column, then the nearest of those along the row.
    cost = torch.where(edges, 0.0, far)
    columns = (cost[:, None] + (y[:, None] - y)[None, :, :, None] ** 2).amin(2)
    return (columns[:, :, None] + (x[:, None] - x) ** 2).amin(3).sqrt()


def _equalised(depth: Tensor) -> Tensor:
    """Ranks of whole numbers up to FURTHEST, (B, 1, H, W), spread over 0 to 255."""
    levels = torch.arange(FURTHEST + 1, device=depth.device).to(depth)
    flat = depth.flatten(1)
    count = (flat[..., None] <= levels).sum(1).to(depth)  # (B, levels)
    lowest = count.gather(1, flat.amin(1, keepdim=True).long())
    spread = (255 * (count - lowest) / (flat.shape[1] - lowest).clamp_min(1)).round().clamp(0, 255)
    return spread.gather(1, flat.long()).view_as(depth)


def _mean3(layer: Tensor) -> Tensor:
    """Mean of 3x3 pixels."""
    return functional.avg_pool2d(_padded(layer), 3, stride=1)


def _padded(layer: Tensor) -> Tensor:
    return functional.pad(layer, (1, 1, 1, 1), mode="reflect")
