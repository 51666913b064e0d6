"""Images sheared, shrunk, turned, moved and bent."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from bench_uq.conditions.corruption.canvas import Canvas
from bench_uq.conditions.corruption.smoothing import smoothed


def shear(canvas: Canvas, radians: float) -> Tensor:
    """Return the images sheared to one side or the other.

    A pixel (x, y) from the centre comes from (x - y sin a, y cos a), as scikit-image defined a shear in 2019.
    """
    angles = radians * canvas.signs()
    one, zero = torch.ones_like(angles), torch.zeros_like(angles)
    return _warped(canvas.images, [[one, -angles.sin()], [zero, angles.cos()]])


def rotate(canvas: Canvas, radians: float) -> Tensor:
    """Return the images turned in one direction or the other."""
    angles = radians * canvas.signs()
    return _warped(canvas.images, [[angles.cos(), -angles.sin()], [angles.sin(), angles.cos()]])


def scale(canvas: Canvas, size: float) -> Tensor:
    """Return the images shrunk to a share of their sides."""
    factor = canvas.images.new_full((len(canvas.images),), 1 / size)
    return _warped(canvas.images, [[factor, 0 * factor], [0 * factor, factor]])


def translate(canvas: Canvas, pixels: float) -> Tensor:
    """Return the images moved along one of the diagonals, by ``pixels`` in each axis."""
    steps = pixels * canvas.unit * canvas.signs(2, 1, 1)
    x, y = _pixels(canvas.images)
    return sampled(canvas.images, x + steps[:, 0], y + steps[:, 1])


def elastic_transform(canvas: Canvas, strength: float, sigma: float, corners: float) -> Tensor:
    """Return the images under a random affine map, then bent by a smooth field; lengths are shares of the side.

    The map moves three points around the centre by up to ``corners``, the field is noise blurred with ``sigma``.
    """
    side = min(canvas.images.shape[-2:])
    x, y = _pixels(canvas.images)
    ones = torch.ones_like(x)
    # (B, 2, 3) times (3, H W): where each pixel comes from
    origin = _inverse(canvas, corners * side) @ torch.stack((x, y, ones)).flatten(1)
    there = origin.unflatten(2, x.shape)
    images = sampled(canvas.images, there[:, 0], there[:, 1], beyond="mirror-101")
    field = canvas.uniform(-1, 1, 2, *x.shape)
    bent = strength * side * smoothed(field, sigma * side, "mirror", truncate=3)
    return sampled(images, x + bent[:, 0], y + bent[:, 1], beyond="mirror")


def _inverse(canvas: Canvas, reach: float) -> Tensor:
    """Return the inverse of the affine map that moves three points by up to ``reach``, (B, 2, 3)."""
    middle = torch.tensor(
        [side // 2 for side in reversed(canvas.images.shape[-2:])], dtype=torch.float64
    )
    arm = min(canvas.images.shape[-2:]) // 3
    before = middle + arm * torch.tensor(
        [[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]], dtype=torch.float64
    )
    after = before + canvas.uniform(-reach, reach, 3, 2).double().cpu()
    ones = torch.ones(len(after), 3, 1, dtype=torch.float64)
    solved = torch.linalg.solve(
        torch.cat((after, ones), 2), before.expand_as(after)
    )  # after @ solved = before
    return solved.mT.to(canvas.images)


def _warped(images: Tensor, matrix: list[list[Tensor]]) -> Tensor:
    """Return images whose pixels at p from the centre come from A p, with a matrix A an example in (x, y)."""
    x, y = _pixels(images)
    (xx, xy), (yx, yy) = ([one[:, None, None] for one in row] for row in matrix)
    middle = [(side - 1) / 2 for side in images.shape[-2:]]
    right, down = x - middle[1], y - middle[0]
    return sampled(images, middle[1] + xx * right + xy * down, middle[0] + yx * right + yy * down)


def _pixels(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the column and the row of each pixel, both (H, W)."""
    down, right = (
        torch.arange(side, dtype=images.dtype, device=images.device) for side in images.shape[-2:]
    )
    y, x = torch.meshgrid(down, right, indexing="ij")
    return x, y


def sampled(images: Tensor, x: Tensor, y: Tensor, beyond: str = "zeros") -> Tensor:
    """Return images (B, C, H, W) read at columns and rows (B, H, W), bilinear.

    Beyond the image there is nothing, its mirror image, or that without the last pixel twice (mirror-101).
    """
    height, width = images.shape[-2:]
    corners = beyond == "mirror-101"  # the mirror then stands in the middle of the last pixel
    across, down = ((x, width), (y, height))
    grid = [
        2 * at / max(side - 1, 1) - 1 if corners else (2 * at + 1) / side - 1
        for at, side in (across, down)
    ]
    padding = "zeros" if beyond == "zeros" else "reflection"
    return functional.grid_sample(
        images, torch.stack(grid, -1), mode="bilinear", padding_mode=padding, align_corners=corners
    )
