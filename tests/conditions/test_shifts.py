"""Rotations and translations: as exact as their oracles, and refused where a level makes no sense."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bench_uq.api import Categorical, Gaussian, Task
from bench_uq.conditions.rotate import Rotate
from bench_uq.conditions.translate import Translate, moved


def images(side: int = 12, channels: int = 3, batch: int = 4) -> Tensor:
    """Return images of noise."""
    return torch.rand(batch, channels, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("side", [8, 9, 28])
@pytest.mark.parametrize("level", [90, 180])
def test_quarter_turns(level, side):
    """90 and 180 degrees are torch's rot90, counterclockwise, once and twice."""
    expected = torch.rot90(images(side), level // 90, (2, 3))
    torch.testing.assert_close(
        Rotate()(images(side), level, torch.Generator()), expected, rtol=0, atol=1e-5
    )


def test_turns_by_any_angle():
    """A spot on a circle around the centre ends ``level`` degrees further on, counterclockwise."""
    side, radius, level = 41, 12, 30.0
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    spot = (-((rows - 20) ** 2 + (columns - 20 - radius) ** 2) / 8).exp()[None, None]
    turned = Rotate()(spot, level, torch.Generator())[0, 0]
    x, y = ((turned * (at - 20)).sum() / turned.sum() for at in (columns, 20 - rows + 20))
    assert math.degrees(math.atan2(y, x)) == pytest.approx(level, abs=0.2)
    assert math.hypot(x, y) == pytest.approx(radius, abs=0.05)


def test_rotated_corners_are_black():
    """What lies outside of the image is 0."""
    turned = Rotate()(torch.ones(1, 1, 28, 28), 45, torch.Generator())
    assert turned[0, 0, [0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [0, 0, 0, 0]
    assert turned[0, 0, 14, 14] == 1


@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, 2), (-4, 5), (12, 0)])
def test_whole_pixels(right, down):
    """A move by whole pixels is a slice of the image, with zeros where it came from."""
    given, side = images(), 12
    expected = torch.zeros_like(given)
    rows, columns = (range(max(0, -step), min(side, side - step)) for step in (down, right))
    for row in rows:
        for column in columns:
            expected[:, :, row + down, column + right] = given[:, :, row, column]
    shares = torch.tensor([[right / side, down / side]]).expand(len(given), 2)
    torch.testing.assert_close(moved(given, shares), expected, rtol=0, atol=1e-5)


def test_moves_by_the_level():
    """A spot moves by the level times the side, each example in a direction of its own, all of them
    about as often.
    """
    side, level = 40, 0.2
    at = torch.arange(side) - 19.5
    spot = (-(at[:, None] ** 2 + at**2) / 8).exp().expand(400, 1, side, side)

    found = Translate()(spot, level, torch.Generator().manual_seed(0))[:, 0]
    mass = found.sum((1, 2))
    x, y = (found.sum(1) * at).sum(1) / mass, (found.sum(2) * at).sum(1) / mass

    torch.testing.assert_close(
        torch.hypot(x, y), torch.full((400,), level * side), rtol=0, atol=0.05
    )
    quadrants = 2 * (x > 0).int() + (y > 0).int()
    assert (
        min(int((quadrants == one).sum()) for one in range(4)) > 70
    )  # 100 each, with a deviation of 9


@pytest.mark.parametrize("shift", [Rotate(), Translate()])
@pytest.mark.parametrize("level", [-0.1, 180.5, math.nan, math.inf])
def test_levels_are_refused(shift, level):
    """Other levels are refused with what is allowed, before and while images are shifted."""
    for refuse in (shift.check_level, lambda level: shift(images(), level, torch.Generator())):
        with pytest.raises(ValueError, match=r"^a level is .*, 0 to (180|1), not "):
            refuse(level)


@pytest.mark.parametrize("shift", [Rotate(), Translate()])
def test_suits(shift):
    """They are for images, of classes or of numbers, and not for tables."""
    assert shift.suits(Task((1, 8, 8), Categorical(10)))
    assert shift.suits(Task((3, 8, 6), Gaussian(0.0, 1.0)))
    assert not shift.suits(Task((5,), Gaussian(0.0, 1.0)))
