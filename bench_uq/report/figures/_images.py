"""The stored inputs that are images, by condition, method and level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from bench_uq.score.analysis import Analysis
from bench_uq.store.derived import Example

#: Examples of one method by level, of conditions with levels.
ByLevel = Mapping[float, Example]


def is_image(example: Example) -> bool:
    """Whether inputs are grey or coloured images."""
    inputs = example.inputs
    return inputs.dtype == np.uint8 and inputs.ndim == 4 and inputs.shape[1] in (1, 3)


def pixels_of(image: np.ndarray) -> np.ndarray:
    """An image with its channels last, without that axis if it is grey."""
    return image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)


def draw_image(
    axes: Axes, pixels: np.ndarray, corner: tuple[float, float], side: float, gap: float
) -> tuple[float, float, float, float]:
    """Draw an image into the middle of a square, and return its left, top, width and height."""
    height, width = (side - gap) * np.array(pixels.shape[:2]) / max(pixels.shape[:2])
    left, top = corner[0] + (side - width) / 2, corner[1] + (side - height) / 2
    extent = (left, left + width, top + height, top)
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="nearest")
    return left, top, width, height


def by_level(analysis: Analysis, condition: str) -> dict[str, ByLevel]:
    """The images of one condition by method and level, in the order of methods and of levels."""
    images = []
    for one in analysis.results.examples:
        if one.condition == condition and one.level is not None and is_image(one):
            images.append(one)
    # The lowest seed comes last and stays.
    images.sort(key=lambda one: (one.level or 0, -one.seed))

    found: dict[str, dict[float, Example]] = {}
    for method in analysis.methods:
        own = {one.level: one for one in images if one.method == method and one.level is not None}
        if own:
            found[method] = own
    return dict(found)


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
    steps = len(levels) - 1
    even = (count for count in range(most, max(2, most // 2), -1) if steps % (count - 1) == 0)
    places = np.linspace(0, steps, next(even, most)).round().astype(int)
    return [levels[place] for place in places]
