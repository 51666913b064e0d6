"""Corruptions: against closed forms, hand-worked numbers and other packages; all kinds on all
sides.
"""

from __future__ import annotations

import colorsys
import io
import math
from itertools import product
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor

from bench_uq.api import Categorical, Gaussian, Task
from bench_uq.api.errors import UsageError
from bench_uq.conditions.corruption import SETS, Corruption, Kind
from bench_uq.conditions.corruption.blur import defocus_blur, disk, smeared, zoomed
from bench_uq.conditions.corruption.canny import canny_edges
from bench_uq.conditions.corruption.canvas import Canvas
from bench_uq.conditions.corruption.geometry import (
    elastic_transform,
    rotate,
    scale,
    shear,
    translate,
)
from bench_uq.conditions.corruption.glass import glass_copies, glass_swaps, sources_of
from bench_uq.conditions.corruption.lines import dotted_line, zigzag
from bench_uq.conditions.corruption.smoothing import smoothed
from bench_uq.conditions.corruption.spatter import MUD, WATER, _distance, _equalised
from bench_uq.conditions.corruption.weather import plasma
from bench_uq.plan.plugins import Plugins

ALL: list[tuple[int, str]] = []
for count, table in SETS.items():
    ALL += product([count], table.KINDS)


def generator(seed: int = 0) -> torch.Generator:
    """Return a generator in a known state."""
    return torch.Generator().manual_seed(seed)


def noise(side: int, channels: int = 1, batch: int = 3) -> Tensor:
    """Return images of noise."""
    return torch.rand(batch, channels, side, side, generator=generator(5))


def flat(value: float, channels: int, side: int = 32, batch: int = 8) -> Tensor:
    """Return images of one value."""
    return torch.full((batch, channels, side, side), float(value))


def canvas(images: Tensor, side: int = 28) -> Canvas:
    """Return images as the corruptions take them."""
    return Canvas(images, generator(), side)


def photographs() -> Tensor:
    """Return 40 pieces of 32x32 pixels of a photograph."""
    from sklearn.datasets import load_sample_image

    picture = Image.fromarray(load_sample_image("china.jpg")).resize(
        (256, 160), Image.Resampling.BOX
    )
    pixels = torch.tensor(np.asarray(picture)).permute(2, 0, 1) / 255
    return (
        pixels.unfold(1, 32, 32).unfold(2, 32, 32).permute(1, 2, 0, 3, 4).flatten(0, 1).contiguous()
    )


def real_images(channels: int) -> Tensor:
    """Return digits, or pieces of a photograph."""
    from sklearn.datasets import load_digits

    if channels == 3:
        return photographs()
    return torch.tensor(load_digits().images[:200, None] / 16, dtype=torch.float32)


def corrupt(kind: str, images: Tensor, severity: float, seed: int = 0) -> Tensor:
    """Return corrupted images."""
    return Corruption(kind=kind)(images, severity, generator(seed))


def test_options_are_the_tables():
    """Every kind that can be asked for is in a table, with five severities, and the papers' numbers
    of kinds are.
    """
    assert set(get_args(Kind)) == {kind for _, kind in ALL}
    assert {channels: len(module.KINDS) for channels, module in SETS.items()} == {1: 15, 3: 18}
    for module in SETS.values():
        assert {len(five) for five in module.KINDS.values()} == {5}


@pytest.mark.parametrize("side", [8, 28, 32, 64])
@pytest.mark.parametrize(("channels", "kind"), ALL)
def test_every_kind_on_every_side(channels, kind, side):
    """All severities are finite, in [0, 1], repeatable, of the same shape and type, and leave all
    else alone.
    """
    images = noise(side, channels)
    images[0], images[1] = 0, 1
    given, state = images.clone(), torch.get_rng_state()
    for severity in range(1, 6):
        found = corrupt(kind, images, severity)
        assert (found.shape, found.dtype) == (images.shape, images.dtype)
        assert found.isfinite().all()
        assert found.min() >= 0
        assert found.max() <= 1
        assert found.equal(corrupt(kind, images, severity))
    assert images.equal(given)
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize(("channels", "kind"), ALL)
def test_oblong_double_and_zero(channels, kind):
    """Sides need not be equal nor numbers single; severity 0 is the input itself, in a copy."""
    images = torch.rand(2, channels, 20, 32, generator=generator(), dtype=torch.float64)
    found = corrupt(kind, images, 4)
    assert (found.shape, found.dtype) == (images.shape, torch.float64)
    same = corrupt(kind, images, 0)
    assert same.equal(images)
    assert same.data_ptr() != images.data_ptr()


@pytest.mark.parametrize(("channels", "kind"), ALL)
def test_severities(channels, kind):
    """On real images a higher severity is further from the clean ones; those that are not published
    so are named.
    """
    images = real_images(channels)
    distances = [
        (corrupt(kind, images, one) - images).square().mean().sqrt().item() for one in range(1, 6)
    ]
    assert distances[0] > 0.003
    not_ordered = {(1, "fog"), (1, "spatter"), (3, "elastic-transform"), (3, "glass-blur")}
    not_ordered |= {(3, "saturate"), (3, "spatter")}
    if (channels, kind) not in not_ordered:
        assert distances == sorted(distances)


@pytest.mark.parametrize(("channels", "kind"), ALL)
def test_examples_are_independent(channels, kind):
    """What a seed decides differs between equal images in one batch."""
    images = photographs()[9:10, :channels].expand(16, -1, -1, -1)
    one, other = (corrupt(kind, images, 5, seed) for seed in (1, 2))
    if not one.equal(other):
        assert len({tuple(image.flatten().tolist()) for image in one}) > 1


@pytest.mark.parametrize("severity", [-1, 6, 2.5, math.nan, math.inf])
def test_severities_are_refused(severity):
    """A severity is a whole number up to 5, before and while images are corrupted."""
    for refuse in (Corruption().check_level, lambda level: corrupt("fog", noise(8), level)):
        with pytest.raises(ValueError, match="a level is a severity, 0, 1, 2, 3, 4 or 5, not"):
            refuse(severity)


def test_kinds_are_refused():
    """A kind that there is not, or not for the images, is refused with those that there are."""
    with pytest.raises(UsageError, match=r"frost.*brightness.*zoom-blur"):
        Plugins().spec("condition", "corruption[kind=frost]")
    with pytest.raises(ValueError, match="no kind 'snow' for 1 channels: brightness, canny-edges"):
        corrupt("snow", noise(8), 1)
    with pytest.raises(ValueError, match="no kind 'fog' for 2 channels: images of 1 or 3"):
        corrupt("fog", noise(8, 2), 1)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_suits(kind):
    """A kind is for images with the channels of its table, and for nothing else."""
    for channels in (1, 2, 3, 4):
        suits = Corruption(kind=kind).suits(Task((channels, 8, 8), Categorical(10)))
        assert suits == ((channels, kind) in ALL)
    assert not Corruption(kind=kind).suits(Task((3,), Gaussian(0.0, 1.0)))


@pytest.mark.parametrize(
    ("channels", "kind", "severity", "value", "std"),
    [
        (3, "gaussian-noise", 1, 0.5, 0.04),
        (3, "gaussian-noise", 5, 0.5, 0.10),
        (3, "speckle-noise", 4, 0.4, 0.4 * 0.16),
        (3, "shot-noise", 1, 0.6, math.sqrt(0.6 / 500)),
        (3, "shot-noise", 5, 0.5, math.sqrt(0.5 / 50)),
        (1, "shot-noise", 1, 0.4, math.sqrt(0.4 / 60)),
        (1, "shot-noise", 3, 0.2, math.sqrt(0.2 / 12)),
    ],
)
def test_noise(channels, kind, severity, value, std):
    """Noise has the mean of the image and the published deviation, where nothing is clipped."""
    found = corrupt(kind, flat(value, channels, batch=32), severity).double()
    count = found.numel()
    assert found.mean().item() == pytest.approx(value, abs=4 * std / math.sqrt(count))
    assert found.std().item() == pytest.approx(std, rel=4 / math.sqrt(count))


def test_shot_noise_counts_photons():
    """Shot noise is a whole number of photons, and none where it is dark."""
    found = corrupt("shot-noise", noise(28), 4) * 5
    torch.testing.assert_close(found, found.round())
    assert not corrupt("shot-noise", flat(0, 1), 4).any()


@pytest.mark.parametrize(
    ("channels", "severity", "share"), [(1, 1, 0.03), (1, 5, 0.27), (3, 5, 0.07)]
)
def test_impulse_noise(channels, severity, share):
    """The published share is replaced, half of it by white and half by black; channels are hit each
    alone.
    """
    found = corrupt("impulse-noise", flat(0.5, channels, batch=64), severity)
    deviation = math.sqrt(share / 2 / found.numel())
    for value in (0, 1):
        assert (found == value).double().mean().item() == pytest.approx(
            share / 2, abs=4 * deviation
        )
    assert ((found == 0) | (found == 1) | (found == 0.5)).all()
    assert channels == 1 or ((found != 0.5).sum(1) == 1).any()


@pytest.mark.parametrize("sigma", [0.3, 0.7, 1.5, 4.0])
@pytest.mark.parametrize(("edges", "mode"), [("nearest", "nearest"), ("mirror", "reflect")])
def test_smoothing(sigma, edges, mode):
    """The Gaussian blur is SciPy's, whatever lies beyond the image."""
    images = noise(20).double()
    expected = ndimage.gaussian_filter(images.numpy(), (0, 0, sigma, sigma), mode=mode)
    torch.testing.assert_close(smoothed(images, sigma, edges), torch.tensor(expected))


@pytest.mark.parametrize(("channels", "kind"), [one for one in ALL if one[1].endswith("-blur")])
def test_blur(channels, kind):
    """A blur leaves one value as it is, and a spot as much light, where none is enlarged or leaves
    the image.
    """
    for severity in range(1, 6):
        torch.testing.assert_close(
            corrupt(kind, flat(0.3, channels), severity), flat(0.3, channels)
        )
        spot = flat(0, channels, side=64)
        spot[..., 30:34, 30:34] = 1
        if (channels, kind) not in ((3, "glass-blur"), (3, "zoom-blur"), (1, "motion-blur")):
            expected = spot.sum((2, 3))
            torch.testing.assert_close(
                corrupt(kind, spot, severity).sum((2, 3)), expected, rtol=0.02, atol=0
            )


def test_disk():
    """A disk of radius 1 is a plus of five pixels; softened by 0.5, its sum stays 1; a small one is
    a Gaussian.
    """
    plus = torch.tensor([[0, 0.2, 0], [0.2, 0.2, 0.2], [0, 0.2, 0]], dtype=torch.float64)
    torch.testing.assert_close(disk(1, 0.01)[1:4, 1:4], plus)
    assert disk(2.5, 0.5).sum().item() == pytest.approx(1)
    tap = math.exp(-0.5 / 0.4**2)
    assert disk(0.3, 0.4)[1, 1].item() == pytest.approx(1 / (1 + 2 * tap) ** 2)


def test_defocus():
    """Defocus is SciPy's convolution with the disk, mirrored at the edges."""
    images = noise(32, 3).double()
    expected = ndimage.correlate(images.numpy(), disk(1.5, 0.1)[None, None].numpy(), mode="mirror")
    torch.testing.assert_close(defocus_blur(canvas(images, 32), 1.5, 0.1), torch.tensor(expected))


def test_smear():
    """A point is smeared to one side with weights exp(-i²/2σ²): in a row at 0, in a column at 90
    degrees.
    """
    point = torch.zeros(3, 1, 15, 15)
    point[:, :, 7, 7] = 1
    found = smeared(point, 2, 1.5, torch.tensor([0.0, 45.0, 90.0]))[:, 0]
    weights = [math.exp(-(step**2) / (2 * 1.5**2)) for step in range(5)]
    expected = torch.tensor(weights) / sum(weights)

    torch.testing.assert_close(found[0, 7, range(7, 2, -1)], expected)
    torch.testing.assert_close(found[2, range(7, 2, -1), 7], expected)
    assert found[1].nonzero().tolist() == [
        [4, 4],
        [5, 5],
        [6, 6],
        [7, 7],
    ]  # 4 steps are 2.8 pixels in each axis
    torch.testing.assert_close(found.sum((1, 2)), torch.ones(3))


@pytest.mark.parametrize("factor", [1.0, 1.06, 1.25, 1.2500000000000002, 2.25])
def test_zoom(factor):
    """A zoom is SciPy's of the middle, cut to the size."""
    images = noise(32).double()
    length = math.ceil(32 / factor)
    start = (32 - length) // 2
    middle = images[:, :, start : start + length, start : start + length].numpy()
    large = ndimage.zoom(middle, (1, 1, factor, factor), order=1)
    trim = (large.shape[-1] - 32) // 2
    expected = torch.tensor(large[:, :, trim : trim + 32, trim : trim + 32])
    torch.testing.assert_close(zoomed(images, factor), expected)


@pytest.mark.parametrize(
    ("severity", "end"), [(1, 1.06), (2, 1.11), (3, 1.16), (4, 1.21), (5, 1.26)]
)
def test_zoom_blur(severity, end):
    """The zooms are those of the published arange: 1.25 and a last bit gives 33 rows, not 32."""
    images = noise(32, 3)
    factors = np.arange(1, end, 0.01).tolist()
    zooms = torch.stack([zoomed(images, factor) for factor in factors])
    expected = (images + zooms.sum(0)) / (len(factors) + 1)
    torch.testing.assert_close(corrupt("zoom-blur", images, severity), expected)


def test_glass():
    """Swaps lose no pixel and copies reach to the next ones only; close to the edges all stay."""
    swapped = sources_of(canvas(noise(28)), 2, 3, swap=True)
    assert swapped.sort(1).values.equal(torch.arange(28 * 28).expand(3, -1))
    assert not swapped[0].equal(swapped[1])

    copied = sources_of(canvas(noise(28)), 1, 1, swap=False).view(3, 28, 28)
    at = torch.arange(28)
    up, left = at[:, None] - copied // 28, at - copied % 28
    assert up.unique().tolist() == left.unique().tolist() == [0, 1]
    assert not copied[:, :2].sub(torch.arange(56).view(2, 28)).any()
    assert not copied[:, :, :2].sub(torch.arange(28 * 28).view(28, 28)[:, :2]).any()

    for away in (up, left):
        assert (
            away[:, 2:, 2:].float().mean() - 0.5
        ).abs() < 0.05  # half of those that may move do, in each axis


@pytest.mark.parametrize(("side", "parts"), [(28, 1), (14, 2), (8, 4)])
@pytest.mark.parametrize(("glass", "across"), [(glass_swaps, 0), (glass_copies, 1)])
def test_glass_blurs_twice(glass, across, side, parts):
    """Before and after pixels change places there is a blur, of grey images down the columns only.

    Pixels of small images are split for it.
    """
    images = noise(side).double()
    found = glass(canvas(images), 0.7, 1, 0)
    sigma = (0, 0, 0.7 * side * parts / 28, across * 0.7 * side * parts / 28)
    fine = images.numpy().repeat(parts, 2).repeat(parts, 3)
    blurred = ndimage.gaussian_filter(
        ndimage.gaussian_filter(fine, sigma, mode="nearest"), sigma, mode="nearest"
    )
    expected = blurred.reshape(3, 1, side, parts, side, parts).mean((3, 5))
    torch.testing.assert_close(found, torch.tensor(expected))


def test_geometry():
    """Shears, turns and shrunk images are SciPy's under the published matrices, in one of two
    directions.
    """
    images = noise(28, batch=40).double()

    def expected(matrix: list[list[float]]) -> Tensor:
        """Return images whose pixel at (row, column) from the centre is that at matrix @ (row,
        column).
        """
        four = np.eye(4)
        four[2:, 2:] = matrix
        middle = np.array([0, 0, 13.5, 13.5])
        moved = ndimage.affine_transform(
            images.numpy(), four, middle - four @ middle, order=1, mode="grid-constant"
        )
        return torch.tensor(moved)

    def directions(found: Tensor, one: Tensor, other: Tensor) -> set[bool]:
        """Return which of two each example is."""
        closest = [(found - each).abs().amax((1, 2, 3)) for each in (one, other)]
        assert torch.minimum(*closest).max() < 1e-6
        return set((closest[0] < closest[1]).tolist())

    a, sine, cosine = 0.6, math.sin(0.6), math.cos(0.6)
    sheared = [expected([[cosine, 0], [-sign * sine, 1]]) for sign in (1, -1)]
    turned = [expected([[cosine, sign * sine], [-sign * sine, cosine]]) for sign in (1, -1)]
    assert directions(shear(canvas(images), a), *sheared) == {True, False}
    assert directions(rotate(canvas(images), a), *turned) == {True, False}
    torch.testing.assert_close(scale(canvas(images), 0.7), expected([[1 / 0.7, 0], [0, 1 / 0.7]]))


def test_translate():
    """Images move by 3 pixels along each axis, to any of four corners; half as large ones by half
    of it.
    """
    images = torch.zeros(40, 1, 28, 28)
    images[:, :, 10, 10] = 1
    found = translate(canvas(images), 3)
    corners = {tuple(place[2:]) for place in (found > 0.99).nonzero().tolist()}
    assert corners == {(7, 7), (7, 13), (13, 7), (13, 13)}
    half = translate(canvas(torch.nn.functional.pad(images, (-7, -7, -7, -7))), 2)
    assert {tuple(place[2:]) for place in (half > 0.99).nonzero().tolist()} == {
        (2, 2),
        (2, 4),
        (4, 2),
        (4, 4),
    }


def test_elastic():
    """Without bending, a ramp stays a plane, moved by no more than the corners' way; without both
    nothing changes.
    """
    ramp = (torch.arange(32.0) / 31).expand(5, 3, 32, 32)
    torch.testing.assert_close(elastic_transform(canvas(ramp, 32), 0, 0, 0), ramp)
    found = elastic_transform(canvas(ramp, 32), 0, 0, 0.05)[..., 8:24, 8:24] * 31
    assert found.diff(n=2, dim=2).abs().max() < 1e-3
    assert found.diff(n=2, dim=3).abs().max() < 1e-3
    away = (found - torch.arange(8.0, 24.0)).abs().amax((1, 2, 3))
    assert (away > 0.2).all()
    assert (away < 3 * 0.05 * 32).all()
    bent = elastic_transform(canvas(ramp, 32), 0.1, 0.03, 0)[..., 8:24, 8:24] * 31
    assert bent.diff(n=2, dim=3).abs().max() > 0.1


def hsv(image: Tensor, change) -> Tensor:
    """Return an image (3, H, W) with its HSV changed pixel by pixel by Python's own colorsys."""
    pixels = [
        colorsys.hsv_to_rgb(*change(*colorsys.rgb_to_hsv(*one)))
        for one in image.flatten(1).T.tolist()
    ]
    return torch.tensor(pixels).T.reshape(image.shape)


def colours() -> Tensor:
    """Return an image of noise with black, white and grey pixels."""
    images = noise(32, 3, batch=1)
    images[0, :, 0, :3] = torch.tensor([0, 0.4, 1])
    return images


@pytest.mark.parametrize("severity", range(1, 6))
def test_hsv(severity):
    """Brightness adds to V and saturation changes S, as published, whatever the colour."""
    more = [0.05, 0.1, 0.15, 0.2, 0.3][severity - 1]
    expected = hsv(colours()[0], lambda h, s, v: (h, s, min(1, v + more)))
    torch.testing.assert_close(
        corrupt("brightness", colours(), severity)[0], expected, rtol=0, atol=1e-5
    )
    factor, plus = [(0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)][severity - 1]
    expected = hsv(colours()[0], lambda h, s, v: (h, min(1, factor * s + plus), v))
    torch.testing.assert_close(
        corrupt("saturate", colours(), severity)[0], expected, rtol=0, atol=1e-5
    )


def test_grey_values():
    """Worked by hand: brightness adds, contrast keeps 0.15 of the distance from the mean, stripes
    are inverted.
    """
    row = torch.tensor([0.0, 0.3, 0.8, 0.1]).expand(1, 1, 4, 4)
    assert corrupt("brightness", row, 3)[0, 0, 0].tolist() == pytest.approx([0.3, 0.6, 1, 0.4])
    assert corrupt("stripe", row, 1)[0, 0, 2].tolist() == pytest.approx([1, 0.3, 0.8, 0.9])
    found = corrupt("contrast", torch.cat((row, row / 2, 0 * row), 1), 5)[0, :, 0]
    assert found[0].tolist() == pytest.approx([0.255, 0.3, 0.375, 0.27])  # the mean is 0.3
    assert found[1].tolist() == pytest.approx([0.1275, 0.15, 0.1875, 0.135])
    assert (
        corrupt("stripe", flat(0, 1, side=28), 1)[0, 0, 5].tolist() == [1] * 7 + [0] * 14 + [1] * 7
    )


def as_pillow(image: Tensor) -> Image.Image:
    """Return an image (3, H, W) as Pillow's, by the nearest of 8 bits."""
    return Image.fromarray((image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def from_pillow(image: Image.Image) -> Tensor:
    """Return Pillow's image as (3, H, W) in [0, 1]."""
    return torch.tensor(np.asarray(image)).permute(2, 0, 1) / 255


@pytest.mark.parametrize("severity", range(1, 6))
def test_pixelate(severity):
    """Pixels are those of Pillow's box filter there and back, up to its rounding to 8 bits, twice."""
    share = [0.95, 0.9, 0.85, 0.75, 0.65][severity - 1]
    image = photographs()[12]
    small = as_pillow(image).resize((int(32 * share),) * 2, Image.Resampling.BOX)
    expected = from_pillow(small.resize((32, 32), Image.Resampling.BOX))
    torch.testing.assert_close(
        corrupt("pixelate", image[None], severity)[0], expected, rtol=0, atol=1.01 / 255
    )


@pytest.mark.parametrize("severity", range(1, 6))
def test_jpeg(severity):
    """JPEG is Pillow's at the published quality."""
    image, stored = 0.9 * photographs()[12], io.BytesIO()
    as_pillow(image).save(stored, "JPEG", quality=[80, 65, 58, 50, 40][severity - 1])
    expected = from_pillow(Image.open(stored))
    torch.testing.assert_close(
        corrupt("jpeg-compression", image[None], severity)[0], expected, rtol=0, atol=1e-6
    )


def test_plasma():
    """The fractal is the textbook's diamond-square, point by point, with the same noise, at 0 to 1."""
    decay, size = 1.5, 8
    found = plasma(canvas(noise(8, batch=2)), decay, size)
    draws, heights, step, strength = generator(), {(0, 0): 0.0}, size, 1.0

    while step > 1:
        half, cells = step // 2, size // step
        drawn = (torch.rand(2, 3, cells, cells, generator=draws) * 2 - 1)[1] * strength
        places = list(product(range(0, size, step), repeat=2))
        for which, (down, right), diagonal in (
            (0, (half, half), True),
            (1, (0, half), False),
            (2, (half, 0), False),
        ):
            for row, column in places:
                around = [(-half, -half), (-half, half), (half, -half), (half, half)]
                around = around if diagonal else [(-half, 0), (half, 0), (0, -half), (0, half)]
                y, x = row + down, column + right
                mean = sum(heights[(y + dy) % size, (x + dx) % size] for dy, dx in around) / 4
                heights[y, x] = mean + drawn[which, row // step, column // step].item()
        step, strength = half, strength / decay**2

    expected = torch.tensor([heights[place] for place in product(range(size), repeat=2)])
    expected = expected.view(size, size)
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    torch.testing.assert_close(found[1], expected, rtol=0, atol=1e-5)


def test_fog():
    """Fog leaves a black image black, and of a grey one what its strength allows: severity 2 adds
    up to 0.5.
    """
    assert not corrupt("fog", flat(0, 3), 2).any()
    found = corrupt("fog", flat(0.8, 3), 2)
    assert found.min().item() == pytest.approx(0.8 * 0.8 / 1.3)
    assert found.max().item() == pytest.approx(0.8)
    assert found[:, 0].equal(found[:, 1])


def test_snow():
    """On black snow is grey, as bright as its whitening or more, and falls alike upside down; white
    stays white.
    """
    found = corrupt("snow", flat(0, 3), 5)
    assert found.min().item() == pytest.approx(0.2 * 0.5)
    assert found.max() > 0.2
    torch.testing.assert_close(found, found.flip(2, 3))
    torch.testing.assert_close(corrupt("snow", flat(1, 3), 5), flat(1, 3))


def test_mud():
    """Mud covers a pixel by 0.8 at least or not at all, in its colour; on grey as bright as its
    red.
    """
    for channels, severity in ((1, 2), (3, 4)):
        found = corrupt("spatter", flat(1, channels, side=SETS[channels].SIDE, batch=40), severity)
        cover = (1 - found[:, 0]) / (1 - MUD[0] / 255)
        assert ((cover == 0) | (cover > 0.799)).all()
        assert 0.001 < (cover > 0).float().mean() < 0.3
        for channel in range(channels):
            expected = 1 - cover * (1 - MUD[channel] / 255)
            torch.testing.assert_close(found[:, channel], expected)


def test_water():
    """Water adds up to half of its colour, to few pixels."""
    found = corrupt("spatter", flat(0, 3, batch=40), 1)
    torch.testing.assert_close(found.amax((2, 3)), torch.tensor(WATER).expand(40, 3) / 510)
    torch.testing.assert_close(found[:, 0] * WATER[1], found[:, 1] * WATER[0])
    assert 0.005 < (found[:, 1] > 0.05).float().mean() < 0.2


def test_distance():
    """Distances to the nearest edge are SciPy's."""
    edges = noise(32)[:, 0] > 0.97
    expected = [torch.tensor(ndimage.distance_transform_edt(~one.numpy())) for one in edges]
    torch.testing.assert_close(_distance(edges), torch.stack(expected).float())


def test_equalised():
    """Worked by hand: of 1, 1, 3, 4, 4, 4 the ranks above the lowest are 0, 0, 1/4, 1, 1, 1."""
    values = torch.tensor([1.0, 1, 3, 4, 4, 4]).view(1, 1, 2, 3)
    assert _equalised(values).flatten().tolist() == [0, 0, 64, 255, 255, 255]
    assert _equalised(torch.full((1, 1, 2, 3), 20.0)).unique().tolist() == [0]


def test_dotted_line():
    """Two columns of every four carry a line from one side to the other, three pixels wide, over
    the digit.
    """
    found = dotted_line(canvas(torch.zeros(20, 1, 28, 28)))[:, 0]
    draws = torch.randint(0, 27, (20, 2), generator=generator()).double()

    for image, (first, last) in zip(found, draws.tolist(), strict=True):
        for column in range(28):
            shown = column % 4 in (2, 3) and column < 27
            middle = first + (last - first) * column / 27
            far = [abs(row - middle) for row in range(28)]
            expected = [
                1 + math.log(1 - d / 2.3) if shown and d < 2.3 * (1 - 1 / math.e) else 0
                for d in far
            ]
            assert image[:, column].tolist() == pytest.approx(expected, abs=1e-4)

    bright = dotted_line(canvas(torch.full((20, 1, 28, 28), 0.9)))
    assert bright.min().item() == pytest.approx(0.9)


def test_zigzag():
    """A line through columns 2 to 25 has six peaks of two pixels, on alternating sides."""
    found = zigzag(canvas(torch.zeros(300, 1, 28, 28)))[:, 0]
    draws = generator()
    start = torch.randint(0, 27, (300,), generator=draws)
    rise = torch.randint(-5, 5, (300,), generator=draws)
    inside = (start > 8) & (start < 19)
    rows = torch.arange(28)

    for column, side in ((4, 1), (8, -1), (12, 1), (16, -1), (20, 1), (24, -1)):
        line = found[inside][:, :, column]
        middle = (line * rows).sum(1) / line.sum(1)
        straight = start[inside] + rise[inside] * (column - 2) / 23
        away = side * (middle - straight)
        assert away.min() > 0.7
        assert away.max() < 2.5

    assert not found[:, :, :2].any()
    assert not found[:, :, 26:].any()


def textbook_canny(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return Canny's edges at a sigma of 1 by SciPy, in double precision."""
    inside = ndimage.gaussian_filter(np.ones_like(image), 1, mode="constant")
    smooth = ndimage.gaussian_filter(image, 1, mode="constant") / inside
    across, down = ndimage.sobel(smooth, axis=1), ndimage.sobel(smooth, axis=0)
    size = np.hypot(across, down)
    longest = np.maximum(np.maximum(abs(across), abs(down)), 1e-12)

    rows, columns = np.indices(image.shape)
    crest = size > 1e-6
    for sign in (1, -1):
        places = [rows + sign * down / longest, columns + sign * across / longest]
        crest &= size * (1 + 1e-4) >= ndimage.map_coordinates(
            size, places, order=1, mode="grid-constant"
        )
    crest[[0, -1]] = crest[:, [0, -1]] = False

    groups, count = ndimage.label(crest & (size >= low), structure=np.ones((3, 3)))
    strong = np.unique(groups[crest & (size >= high)])
    return np.isin(groups, strong[strong > 0]) if count else crest & False


def test_canny_of_a_square():
    """Of a square of 12 pixels both sides of the edge are marked, in the middle of each side those
    two alone.
    """
    image = torch.zeros(1, 1, 28, 28)
    image[..., 8:20, 8:20] = 1
    edges = canny_edges(canvas(image), 1, 0.1, 0.2)[0, 0]
    for line in (edges[14], edges[:, 14]):
        assert line.nonzero().flatten().tolist() == [7, 8, 19, 20]
    assert edges.equal(edges.T)
    assert edges.equal(edges.flip(0))
    assert not canny_edges(
        canvas(image * 0.02), 1, 0.1, 0.2
    ).any()  # 8 % of white against black, below the threshold


@pytest.mark.parametrize(
    ("side", "faint", "clear"), [(14, 0.09, 0.16), (28, 0.06, 0.1), (56, 0.05, 0.09)]
)
def test_canny_of_faint_squares(side, faint, clear):
    """An edge is seen at a contrast of about 0.08, as high as 0.2 over a gradient of 2.5, on small
    and large images.
    """
    image = torch.zeros(1, 1, side, side)
    image[..., side // 4 : -side // 4, side // 4 : -side // 4] = 1
    assert not canny_edges(canvas(image * faint), 1, 0.1, 0.2)[0, 0, side // 2].any()
    assert canny_edges(canvas(image * clear), 1, 0.1, 0.2)[0, 0, side // 2].sum() == 4


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.2), (0.2, 1.2)])
def test_canny_of_digits(low, high):
    """On digits edges are the textbook's, with thresholds that let most edges through and with ones
    that link a few.
    """
    from sklearn.datasets import load_digits

    digits = ndimage.zoom(load_digits().images[:60] / 16, (1, 3.5, 3.5), order=1)
    found = canny_edges(canvas(torch.tensor(digits, dtype=torch.float32)[:, None]), 1, low, high)[
        :, 0
    ].bool()
    expected = np.stack([textbook_canny(image, low, high) for image in digits])
    assert (found.numpy() != expected).mean() < 1e-4
    assert 0.1 < expected.mean() < 0.5


@pytest.mark.cuda
@pytest.mark.parametrize(("channels", "kind"), ALL)
def test_devices_agree(channels, kind):
    """On a GPU images are those of the CPU up to rounding, but for a rare pixel at a threshold."""
    images = real_images(channels)
    for severity in range(1, 6):
        found = corrupt(kind, images.cuda(), severity).cpu()
        assert ((found - corrupt(kind, images, severity)).abs() > 1e-4).float().mean() < 1e-3
