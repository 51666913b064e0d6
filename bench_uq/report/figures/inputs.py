"""What attacks and shifts make of one input, level by level."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from bench_uq.report.figures import panels
from bench_uq.report.figures.images import alike, by_level, is_image, pixels_of, spread
from bench_uq.report.figures.style import PAGE, Look, Options, text
from bench_uq.report.tables.captions import wrap
from bench_uq.score.analysis import Analysis
from bench_uq.score.labels import level_name
from bench_uq.score.summaries import kinds_last

#: As many rows as a column holds, how many columns a sheet has at most, and as many rows as one column may have alone.
_ROWS, _COLUMNS, _ALONE = 14, 2, 6
#: Inches: the names of conditions, the largest image, the gap between images, a line of text.
_NAMES, _LARGEST, _GAP, _LINE = 1.35, 0.5, 0.03, 0.13

_FRAME: Options = {"fill": False, "edgecolor": "#bbbbbb", "linewidth": 0.4}


@dataclass(frozen=True)
class Strip:
    """One condition: its name, the input at each level, and whether other methods were shown another one."""

    name: str
    images: Mapping[float | None, np.ndarray]
    own: bool
    method: str


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> Figure | None:
    """Draw the first stored input as it is, and under each attack and shift at levels spread over all, a row each."""
    del looks  # no method has a line here
    strips = _strips(analysis)
    kept = kinds_last(strip.name for strip in strips)[: _ROWS * _COLUMNS]
    drawn = [strip for strip in strips if strip.name in kept]
    if not drawn:
        return None
    columns = 1 if len(drawn) <= _ALONE else _COLUMNS
    rows = math.ceil(len(drawn) / columns)
    room = PAGE / columns - _NAMES
    most = int(room / (_LARGEST if columns == 1 else 0.36))
    side = min(_LARGEST, room / most)
    blocks = [drawn[first : first + rows] for first in range(0, len(drawn), rows)]
    laid = [_laid_out(block, side, most) for block in blocks]
    height = max(bottom for _, bottom in laid)
    figure = panels.sheet(PAGE, height + 0.1, _handles(analysis, drawn, len(strips) - len(drawn)))
    for place, (block, (tops, _)) in enumerate(zip(blocks, laid, strict=True)):
        axes = figure.add_subplot(
            1, len(blocks), place + 1, aspect="equal", anchor="NW", frameon=False
        )
        axes.set(xlim=(0, side * most), ylim=(height, 0), xticks=[])
        names = ["\n".join(wrap(text(strip.name), 20)) for strip in block]
        axes.set_yticks([top + side / 2 for top in tops], labels=names)
        axes.tick_params(left=False)
        axes.grid(visible=False)
        _block(axes, block, tops, side, most)
    return figure


def _strips(analysis: Analysis) -> list[Strip]:
    """Return the input as it is, and each condition that changes it, those of several kinds last."""
    clean = [one for one in analysis.results.examples if one.condition == "clean" and is_image(one)]
    first = sorted(clean, key=lambda one: (analysis.methods.index(one.method), one.seed))[:1]
    strips = [Strip("clean", {None: one.inputs[0]}, False, one.method) for one in first]
    names = [
        name
        for one in sorted(analysis.families, key=lambda one: len(one.members))
        for name in one.members
    ]
    shown = {name: found for name in names if (found := by_level(analysis, name))}
    for name, found in shown.items():
        method, own = next(iter(found.items()))
        differ = not all(alike(own, others) for others in found.values())
        strips.append(
            Strip(name, {level: one.inputs[0] for level, one in own.items()}, differ, method)
        )
    return strips if shown else []


def _header(strip: Strip, most: int) -> tuple[str, list[float]]:
    """Return what stands above a row: the name of its levels, and those that are drawn; none of what has no levels."""
    known = [level for level in strip.images if level is not None]
    return (level_name(strip.name), spread(known, most)) if known else ("", [])


def _laid_out(block: Sequence[Strip], side: float, most: int) -> tuple[list[float], float]:
    """Return the upper end of each row of images, with room for a header that the row above lacks, and the end."""
    tops, bottom, above = [], 0.0, ("", list[float]())
    for strip in block:
        header = _header(strip, most)
        bottom += _LINE if header != above else 0.0
        tops.append(bottom)
        bottom += side
        above = header
    return tops, bottom


def _block(
    axes: Axes, block: Sequence[Strip], tops: Sequence[float], side: float, most: int
) -> None:
    """Draw rows of images, with a header above where it is not that of the row above."""
    above = ("", list[float]())
    small: Options = {"va": "center", "fontsize": 6.5}
    for strip, top in zip(block, tops, strict=True):
        name, chosen = header = _header(strip, most)
        for place, level in enumerate(chosen or [None]):
            _image(axes, pixels_of(strip.images[level]), (place * side, top), side)
            if level is not None and header != above:
                axes.text((place + 0.5) * side, top - _LINE / 2, f"{level:g}", ha="center", **small)
        if header != above:
            axes.text(-0.05, top - _LINE / 2, name, ha="right", color="#666666", **small)
        above = header


def _image(axes: Axes, pixels: np.ndarray, corner: tuple[float, float], side: float) -> None:
    """Draw an image into the middle of a square."""
    height, width = (side - _GAP) * np.array(pixels.shape[:2]) / max(pixels.shape[:2])
    left, top = corner[0] + (side - width) / 2, corner[1] + (side - height) / 2
    (low, high), (bottom, upper) = axes.get_xlim(), axes.get_ylim()
    extent = (left, left + width, top + height, top)
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="nearest")
    axes.add_patch(
        Rectangle((left, top), width, height, **_FRAME)
    )  # else a white border would be none
    axes.set(xlim=(low, high), ylim=(bottom, upper))  # an image would fit the axes to itself


def _handles(analysis: Analysis, strips: Sequence[Strip], left_out: int) -> list[Artist]:
    """Return what the numbers are, whose inputs are drawn, and what is left out."""
    said = ["the first of the stored examples; levels spread over all that were shown"]
    whose = [strip.method for strip in strips if strip.own]
    if whose:
        said.append(f"inputs that differ between methods: those for {text(whose[0])}")
    handles: list[Artist] = [
        Line2D([], [], linestyle="none", label="\n".join(wrap(one, 90))) for one in said
    ]
    return [*handles, *panels.left_out(left_out)]
