"""The stored inputs that are images, and what the methods were shown of one condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench_uq.score.analysis import Analysis
from bench_uq.store.derived import Example

#: Examples of one method by level, of conditions with levels.
ByLevel = Mapping[float, Example]


def is_image(example: Example) -> bool:
    """Tell whether inputs are grey or coloured images."""
    return (
        example.inputs.dtype == np.uint8
        and example.inputs.ndim == 4
        and example.inputs.shape[1] in (1, 3)
    )


def pixels_of(image: np.ndarray) -> np.ndarray:
    """Return an image with its channels last, or none where it is grey."""
    return image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)


def by_level(analysis: Analysis, condition: str) -> dict[str, ByLevel]:
    """Return the images of one condition by method and level, in the order of methods and of levels."""
    found: dict[str, dict[float, Example]] = {method: {} for method in analysis.methods}
    for one in sorted(
        analysis.results.examples,
        key=lambda one: (one.level is not None, one.level or 0, -one.seed),
    ):
        if (
            one.condition == condition
            and one.level is not None
            and one.method in found
            and is_image(one)
        ):
            found[one.method][one.level] = one
    return {method: own for method, own in found.items() if own}


def alike(own: ByLevel, others: ByLevel) -> bool:
    """Tell whether two methods were shown the same images with the same classes at the same levels."""
    return own.keys() == others.keys() and all(
        np.array_equal(own[level].inputs, others[level].inputs)
        and equal(own[level].targets, others[level].targets)
        for level in own
    )


def equal(targets: np.ndarray | None, others: np.ndarray | None) -> bool:
    """Tell whether the right classes are the same ones, or unknown in both."""
    return targets is others is None or (
        targets is not None and others is not None and np.array_equal(targets, others)
    )


def spread(levels: Sequence[float], most: int) -> list[float]:
    """Return at most so many of the levels with both ends: at equal steps if that leaves most of them, else nearly."""
    if len(levels) <= most:
        return list(levels)
    steps = len(levels) - 1
    even = (count for count in range(most, max(2, most // 2), -1) if steps % (count - 1) == 0)
    places = np.linspace(0, steps, next(even, most)).round().astype(int)
    return [levels[place] for place in places]
