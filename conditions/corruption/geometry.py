"""Images sheared, shrunk, turned, moved and bent."""

import torch
from torch import Tensor
from torch.nn import functional

from bench_uq.conditions.corruption.canvas import Canvas
from bench_uq.conditions.corruption.smoothing import smoothed


def shear(canvas: Canvas, radians: float) -> Tensor:
    """Shear the images to one side or the other.

    A pixel (x, y) from the centre comes from (x - y sin a, y cos a), as in scikit-image in 2019.
    """
    angles = radians * canvas.signs()
    one, zero = torch.ones_like(angles), torch.zeros_like(angles)
    return _warped(canvas.images, [[one, -angles.sin()], [zero, angles.cos()]])


def rotate(canvas: Canvas, radians: float) -> Tensor:
    """Turn the images in one direction or the other."""
    angles = radians * canvas.signs()
    return _warped(canvas.images, [[angles.cos(), -angles.sin()], [angles.sin(), angles.cos()]])


def scale(canvas: Canvas, size: float) -> Tensor:
    """Shrink the images to a share of their sides."""
    factor = canvas.images.new_full((len(canvas.images),), 1 / size)
    return _warped(canvas.images, [[factor, 0 * factor], [0 * factor, factor]])


def translate(canvas: Canvas, pixels: float) -> Tensor:
    """Move the images along one of the diagonals, by ``pixels`` in each axis."""
    steps = pixels * canvas.unit * canvas.signs(2, 1, 1)
    x, y = _pixels(canvas.images)
    return sampled(canvas.images, x + steps[:, 0], y + steps[:, 1])


def elastic_transform(canvas: Canvas, strength: float, sigma: float, corners: float) -> Tensor:
    """Put the images through a random affine map, then bend them by a smooth field.

    The map moves three points around the centre by up to ``corners``, the field is noise blurred
    with ``sigma``. Lengths are shares of the side.
    """
    side = min(canvas.images.shape[-2:])
    x, y = _pixels(canvas.images)
    # (B, 2, 3) times (3, H W): where each pixel comes from
    places = torch.stack((x, y, torch.ones_like(x))).flatten(1)
    origin = _inverse(canvas, corners * side) @ places
    there = origin.unflatten(2, x.shape)
    images = sampled(canvas.images, there[:, 0], there[:, 1], beyond="mirror-101")

    field = canvas.uniform(-1, 1, 2, *x.shape)
    bent = strength * side * smoothed(field, sigma * side, "mirror", truncate=3)
    return sampled(images, x + bent[:, 0], y + bent[:, 1], beyond="mirror")


def _inverse(canvas: Canvas, reach: float) -> Tensor:
    """Inverse of the affine map that moves three points by up to ``reach``, (B, 2, 3)."""
    height, width = canvas.images.shape[-2:]
    middle = torch.tensor([width // 2, height // 2], dtype=torch.float64)
    arms = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]], dtype=torch.float64)
    before = middle + min(height, width) // 3 * arms
    after = before + canvas.uniform(-reach, reach, 3, 2).double().cpu()
    # (after, 1) @ solved = before
    ones = torch.ones(len(after), 3, 1, dtype=torch.float64)
    solved = torch.linalg.solve(torch.cat((after, ones), 2), before.expand_as(after))
    return solved.mT.to(canvas.images)


def _warped(images: Tensor, matrix: list[list[Tensor]]) -> Tensor:
    """Fill each pixel p from A p, both from the centre, with a matrix A per example in (x, y)."""
    height, width = images.shape[-2:]
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    x, y = _pixels(images)
    right, down = x - middle_x, y - middle_y

    (xx, xy), (yx, yy) = matrix
    from_x = middle_x + xx[:, None, None] * right + xy[:, None, None] * down
    from_y = middle_y + yx[:, None, None] * right + yy[:, None, None] * down
    return sampled(images, from_x, from_y)


def _pixels(images: Tensor) -> tuple[Tensor, Tensor]:
    """The column and the row of each pixel, both (H, W)."""
    height, width = images.shape[-2:]
    down = torch.arange(height, dtype=images.dtype, device=images.device)
    right = torch.arange(width, dtype=images.dtype, device=images.device)
    y, x = torch.meshgrid(down, right, indexing="ij")
    return x, y


def sampled(images: Tensor, x: Tensor, y: Tensor, beyond: str = "zeros") -> Tensor:
    """Read images (B, C, H, W) at columns and rows (B, H, W), bilinear.

    Beyond the image is black (zeros), its mirror image (mirror), or the mirror image without the
    last pixel twice (mirror-101).
    """
    height, width = images.shape[-2:]
    padding = "zeros" if beyond == "zeros" else "reflection"
    # With mirror-101 the mirror stands in the middle of the last pixel.
    corners = beyond == "mirror-101"

    if corners:
        places = 2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1
    else:
        places = (2 * x + 1) / width - 1, (2 * y + 1) / height - 1
    grid = torch.stack(places, -1)
    return functional.grid_sample(images, grid, "bilinear", padding, align_corners=corners)
