"""The stored inputs that are images, by condition, method and level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench_uq.score.analysis import Analysis
from bench_uq.store.examples import Example

#: Examples of one method by level, of conditions with levels.
ByLevel = Mapping[float, Example]


def is_image(example: Example) -> bool:
    """Whether inputs are grey or coloured images."""
    inputs = example.inputs
    return inputs.dtype == np.uint8 and inputs.ndim == 4 and inputs.shape[1] in (1, 3)


def pixels_of(image: np.ndarray) -> np.ndarray:
    """An image with its channels last, without that axis if it is grey."""
    return image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)


def board(
    figure: Figure, position: tuple[int, int, int], size: tuple[float, float], anchor: str
) -> Axes:
    """Axes of that width and height in inches, downwards, on which only images and text stand."""
    axes = figure.add_subplot(*position, aspect="equal", anchor=anchor, frameon=False)
    width, height = size
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[])
    axes.tick_params(left=False)
    axes.grid(visible=False)
    return axes


def draw_image(
    axes: Axes, pixels: np.ndarray, corner: tuple[float, float], side: float, gap: float
) -> tuple[float, float, float, float]:
    """Draw an image into the middle of a square, and return its left, top, width and height."""
    height, width = (side - gap) * np.array(pixels.shape[:2]) / max(pixels.shape[:2])
    left, top = corner[0] + (side - width) / 2, corner[1] + (side - height) / 2

    # The first row of pixels is at the top, as on axes that run downwards.
    extent = (left, left + width, top + height, top)
    # Without limits of its own every image would be stretched to its darkest and lightest pixel,
    # and noise or a loss of contrast would not show.
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="nearest")
    return left, top, width, height


def by_level(analysis: Analysis, condition: str) -> dict[str, ByLevel]:
    """The images of one condition by method and level, in the order of methods and of levels."""
    # The lowest seed comes last and stays.
    ordered = sorted(analysis.results.examples, key=lambda one: (one.level or 0, -one.seed))

    found: dict[str, ByLevel] = {}
    for method in analysis.methods:
        own = {}
        for one in ordered:
            if (one.method, one.condition) != (method, condition) or one.level is None:
                continue
            if is_image(one):
                own[one.level] = one
        if own:
            found[method] = own
    return found


def alike(own: ByLevel, others: ByLevel) -> bool:
    """Whether two methods were shown the same images with the same classes at the same levels."""
    if own.keys() != others.keys():
        return False

    for level, one in own.items():
        other = others[level]
        if not np.array_equal(one.inputs, other.inputs) or not equal(one.targets, other.targets):
            return False
    return True


def equal(targets: np.ndarray | None, others: np.ndarray | None) -> bool:
    """Whether the true classes are the same, or both unknown."""
    if targets is None or others is None:
        return targets is others
    return np.array_equal(targets, others)


def spread(levels: Sequence[float], most: int) -> list[float]:
    """At most so many of the levels, both ends included, at equal steps if most can stay."""
    if len(levels) <= most:
        return list(levels)

    steps, kept = len(levels) - 1, most
    # Unequal steps would look like jumps of the data. They are avoided by fewer images, but not if
    # that takes more than half of them.
    for count in range(most, max(2, most // 2), -1):
        if steps % (count - 1) == 0:
            kept = count
            break

    places = np.linspace(0, steps, kept).round().astype(int)
    return list(map(levels.__getitem__, places))
