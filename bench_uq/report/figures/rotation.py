"""Predictions for a digit that is turned, and their uncertainty, angle by angle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patches import Patch
from matplotlib.ticker import MultipleLocator

from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._images import ByLevel, alike, by_level, pixels_of
from bench_uq.report.figures._inline_labels import write_beside
from bench_uq.report.figures._panels import together
from bench_uq.report.figures._style import Options, paper
from bench_uq.report.looks import Look
from bench_uq.score.analysis import Analysis

#: The family of the conditions that are drawn, the digits side by side, and the most methods of a
#: page.
_FAMILY, _DIGITS, _MOST = "rotation", 2, 16
#: A class is drawn if it reaches this probability; and the most wrong classes of a panel.
_SEEN, _WRONG = 0.2, 3
#: Inches: an image, the names of methods, and the height that all panels of a column share.
_SIDE, _NAMES, _ROOM = 0.25, 1.7, 6.6
_OTHERS: Options = {"color": "#555555", "linewidth": 0.8}
_DASHES = ("-", (0, (4, 1.2)), (0, (1, 1)))
_DOUBT: Options = {"color": "#d9d9d9", "linewidth": 0}


@dataclass(frozen=True)
class Turned:
    """One digit: its place among the stored ones, its class, and its images by angle."""

    place: int
    target: int | None
    images: Mapping[float, np.ndarray]


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw a figure per rotation: the digit by angle, and a panel per method beneath it."""
    figures: dict[str, Figure] = {}
    for condition in sorted({one.condition for one in analysis.results.examples}):
        if analysis.results.about.of(condition).family != _FAMILY:
            continue

        shown = by_level(analysis, condition)
        # A single angle makes no curve.
        first = next((own for own in shown.values() if len(own) > 1), None)
        if first:
            end = condition if figures else ""
            figures[end] = _figure(analysis, looks, condition, shown, first)
    return figures


def _figure(
    analysis: Analysis,
    looks: Mapping[str, Look],
    condition: str,
    shown: Mapping[str, ByLevel],
    first: ByLevel,
) -> Figure:
    """Draw one rotation of the methods that were shown the same images as the first."""
    same = {method: own for method, own in shown.items() if alike(own, first)}
    drawn = analysis.methods[:_MOST]
    digits = _chosen(first)[: _layout.side_by_side(_DIGITS, beside=_NAMES)]
    row = min(0.95, max(0.4, _ROOM / len(drawn)))
    handles = _handles(analysis, same, len(analysis.methods) - len(drawn))
    figure = _layout.sheet(paper().page, 0.95 + row * len(drawn), handles)
    ratios = {"height_ratios": [1.3 * _SIDE, *[row] * len(drawn)]}
    grid = figure.subplots(
        1 + len(drawn), len(digits), sharex=True, squeeze=False, gridspec_kw=ratios
    )
    together(list(grid.flat), "panels")
    width = (paper().page - _NAMES) / len(digits)

    for digit, column in zip(digits, grid.T, strict=True):
        _images(column[0], digit, width)
        for axes, method in zip(column[1:], drawn, strict=True):
            if method in same:
                _panel(axes, digit, same[method], looks[method], (width, row))
            else:
                _layout.nothing(axes, _why(analysis, method, shown))
            # A low panel has no room for three numbers.
            axes.set(ylim=(-0.1, 1.1), yticks=[0, 1] if row < 0.55 else [0, 0.5, 1])
        column[-1].set_xlabel(analysis.level_unit(condition))

    for axes, method in zip(grid[1:, 0], drawn, strict=True):
        name = _legend.label(analysis, method, analysis.seeds(method).planned)
        axes.set_ylabel(name, rotation=0, ha="right", va="center", labelpad=4)
    for axes in grid[1:, 1:].flat:
        axes.tick_params(labelleft=False)
    return figure


def _why(analysis: Analysis, method: str, shown: Mapping[str, ByLevel]) -> str:
    """Why a method has no panel."""
    if method in shown:
        return "shown other images"
    return "no images stored" if analysis.seeds(method).finished else "no finished run"


def _chosen(first: ByLevel) -> list[Turned]:
    """The digits of different classes that turning changes most for the ink they have."""
    # By inputs alone: a choice by predictions would favour a method.
    lowest = next(iter(first.values()))
    count = len(lowest.inputs)
    ink = lowest.inputs.reshape(count, -1).sum(axis=1, dtype=float) + 1
    moved = np.zeros(count)
    # As floats: differences of uint8 wrap around.
    for one in first.values():
        moved += np.abs(one.inputs.astype(float) - lowest.inputs).reshape(count, -1).sum(axis=1)

    chosen: dict[int | None, int] = {}
    # A stable sort, so that equal digits are chosen in the same order on every machine.
    for place in np.argsort(-moved / ink, kind="stable").tolist():
        target = None if lowest.targets is None else int(lowest.targets[place])
        chosen.setdefault(target, place)

    digits = []
    for target, place in list(chosen.items())[:_DIGITS]:
        images = {level: one.inputs[place] for level, one in first.items()}
        digits.append(Turned(place, target, images))
    return digits


def _images(axes: Axes, digit: Turned, width: float) -> None:
    """Draw the digit at as many of its angles as fit beside each other."""
    angles = list(digit.images)
    room = (angles[-1] - angles[0]) * _SIDE / (width - _SIDE)
    style: Options = {"cmap": "gray", "norm": Normalize(0, 255), "interpolation": "nearest"}

    last = -np.inf
    for angle in angles:
        if angle - last >= 1.08 * room:
            pixels = pixels_of(digit.images[angle])
            # A size in inches whatever the angles' axis is: zoom counts in points.
            image = OffsetImage(pixels, zoom=72 * _SIDE / max(pixels.shape[:2]), **style)
            axes.add_artist(AnnotationBbox(image, (angle, 0.5), frameon=False, pad=0))
            last = angle

    axes.set(xlim=(angles[0] - 0.55 * room, angles[-1] + 0.55 * room), ylim=(0, 1))
    # The panels below share this axis, and its ticks with it.
    axes.xaxis.set_major_locator(MultipleLocator(45 if angles[-1] - angles[0] >= 90 else 15))
    axes.axis("off")
    axes.set_title("class unknown" if digit.target is None else f"class {digit.target}")


def _panel(axes: Axes, digit: Turned, own: ByLevel, look: Look, size: tuple[float, float]) -> None:
    """Draw the probabilities that one method gives the digit."""
    probs = {level: one.probs[digit.place] for level, one in own.items() if one.probs is not None}
    if not probs:
        _layout.nothing(axes, "no classes")
        return

    axes.set_ylim(-0.1, 1.1)
    angles, table = np.array(list(probs)), np.array(list(probs.values()), float)  # (levels, C)
    logs = np.log(np.where(table > 0, table, 1))  # p log p is 0 at p = 0
    entropy = -np.sum(table * logs, axis=1) / np.log(table.shape[1])
    axes.fill_between(angles, 0, entropy, **_DOUBT)

    highest = table.max(axis=0)
    ordered = np.argsort(-highest, kind="stable").tolist()
    wrong = [name for name in ordered if name != digit.target and highest[name] >= _SEEN][:_WRONG]
    for name, dashes in zip(wrong, _DASHES, strict=False):
        axes.plot(angles, table[:, name], linestyle=dashes, **_OTHERS)
    if digit.target is not None:
        axes.plot(angles, table[:, digit.target], color=look.color, linewidth=1.8)
    write_beside(axes, angles, {str(name): table[:, name] for name in wrong}, size)


def _handles(analysis: Analysis, shown: Mapping[str, ByLevel], left_out: int) -> list[Artist]:
    """The meaning of lines and areas, the seeds, and how many methods are left out."""
    seeds = set[int]()
    for own in shown.values():
        # A level may be of a higher seed, where the run of the lowest stored no images.
        seeds.update(one.seed for one in own.values())
    listed = ", ".join(map(str, sorted(seeds)))

    handles: list[Artist] = [
        Line2D([], [], color="black", linewidth=1.8, label="probability of the true class"),
        Line2D(
            [],
            [],
            **_OTHERS,
            label=_legend.fitted(f"of other classes that reach {_SEEN:g}, by number"),
        ),
        Patch(**_DOUBT, label="predictive entropy / ln C"),
        _legend.words(f"runs of seed {listed}"),
    ]
    handles += _legend.left_out(left_out, "methods ")
    return handles + _legend.dagger_handle(analysis)
