"""One input under each attack and shift, level by level."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._images import (
    alike,
    by_level,
    draw_image,
    is_image,
    pixels_of,
    spread,
)
from bench_uq.report.figures._style import PAGE, Options, text
from bench_uq.report.looks import Look
from bench_uq.report.tables.captions import wrap
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import kinds_last

#: As many rows as a column holds, the most columns, and the most rows of a single column.
_ROWS, _COLUMNS, _ALONE = 14, 2, 6
#: Inches: the names of conditions, the largest image, the gap between images, a line of text.
_NAMES, _LARGEST, _GAP, _LINE = 1.35, 0.5, 0.03, 0.13

_FRAME: Options = {"fill": False, "edgecolor": "#bbbbbb", "linewidth": 0.4}


@dataclass(frozen=True)
class Strip:
    """One condition: its name, the input at each level, and whose inputs these are.

    ``own`` is set if other methods were shown other inputs.
    """

    name: str
    level_name: str
    images: Mapping[float | None, np.ndarray]
    own: bool
    method: str

    def header(self, most: int) -> tuple[str, list[float]]:
        """The name of its levels and those that are drawn; empty without levels."""
        known = [level for level in self.images if level is not None]
        return (self.level_name, spread(known, most)) if known else ("", [])


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw the first stored input, clean and under each attack and shift, a row each."""
    del looks  # no method has a line here
    strips = _strips(analysis)
    kept = kinds_last(strip.name for strip in strips)[: _ROWS * _COLUMNS]
    drawn = [strip for strip in strips if strip.name in kept]
    if not drawn:
        return {}

    columns = 1 if len(drawn) <= _ALONE else _COLUMNS
    rows = math.ceil(len(drawn) / columns)
    room = PAGE / columns - _NAMES
    most = int(room / (_LARGEST if columns == 1 else 0.36))
    side = min(_LARGEST, room / most)

    blocks = [drawn[first : first + rows] for first in range(0, len(drawn), rows)]
    laid = [_laid_out(block, side, most) for block in blocks]
    height = max(bottom for _, bottom in laid)
    handles = _handles(drawn, len(strips) - len(drawn))
    figure = _layout.sheet(PAGE, height + 0.1, handles)
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
    return {"": figure}


def _strips(analysis: Analysis) -> list[Strip]:
    """The clean input, and each condition that changes it, those of several kinds last."""
    methods = analysis.methods
    clean = [one for one in analysis.results.examples if one.condition == "clean" and is_image(one)]
    clean.sort(key=lambda one: (methods.index(one.method), one.seed))
    strips = []
    for first in clean[:1]:
        strips.append(Strip("clean", "", {None: first.inputs[0]}, False, first.method))

    changed = []
    for family in sorted(analysis.families, key=lambda one: len(one.members)):
        for name in family.members:
            found = by_level(analysis, name)
            if found:
                method, own = next(iter(found.items()))
                images: dict[float | None, np.ndarray] = {}
                for level, one in own.items():
                    images[level] = one.inputs[0]
                differ = not all(alike(own, others) for others in found.values())
                level_name = analysis.level_name(name)
                changed.append(Strip(name, level_name, images, differ, method))
    return [*strips, *changed] if changed else []


def _laid_out(block: Sequence[Strip], side: float, most: int) -> tuple[list[float], float]:
    """The top of each row of images, below a header if the row above has another; and the end."""
    tops, bottom, above = [], 0.0, ("", list[float]())
    for strip in block:
        header = strip.header(most)
        bottom += _LINE if header != above else 0.0
        tops.append(bottom)
        bottom += side
        above = header
    return tops, bottom


def _block(
    axes: Axes, block: Sequence[Strip], tops: Sequence[float], side: float, most: int
) -> None:
    """Draw rows of images, each below a header if the row above has another."""
    above = ("", list[float]())
    small: Options = {"va": "center", "fontsize": 6.5}
    for strip, top in zip(block, tops, strict=True):
        name, chosen = header = strip.header(most)
        for place, level in enumerate(chosen or [None]):
            _image(axes, pixels_of(strip.images[level]), (place * side, top), side)
            if level is not None and header != above:
                axes.text((place + 0.5) * side, top - _LINE / 2, f"{level:g}", ha="center", **small)
        if header != above:
            axes.text(-0.05, top - _LINE / 2, name, ha="right", color="#666666", **small)
        above = header


def _image(axes: Axes, pixels: np.ndarray, corner: tuple[float, float], side: float) -> None:
    """Draw an image with a frame, without which a white border would not be seen."""
    (low, high), (bottom, upper) = axes.get_xlim(), axes.get_ylim()
    left, top, width, height = draw_image(axes, pixels, corner, side, _GAP)
    axes.add_patch(Rectangle((left, top), width, height, **_FRAME))
    axes.set(xlim=(low, high), ylim=(bottom, upper))  # an image would fit the axes to itself


def _handles(strips: Sequence[Strip], left_out: int) -> list[Artist]:
    """Which inputs and levels are drawn, and how many are left out."""
    said = ["the first of the stored examples; levels spread over all that were evaluated"]
    whose = [strip.method for strip in strips if strip.own]
    if whose:
        said.append(f"inputs that differ between methods: those of {text(whose[0])}")
    handles = [_legend.words("\n".join(wrap(one, 90))) for one in said]
    return [*handles, *_legend.left_out(left_out)]
