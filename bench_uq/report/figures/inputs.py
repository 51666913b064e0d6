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
    board,
    by_level,
    draw_image,
    is_image,
    pixels_of,
    spread,
)
from bench_uq.report.figures._style import Options, paper, text
from bench_uq.report.looks import Look
from bench_uq.report.tables.captions import wrap
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import kinds_last

#: As many rows as a column holds, the most columns, and the most rows of a single column.
_ROWS, _COLUMNS, _ALONE = 14, 2, 6
#: Inches: the names of conditions, the gap between images, a line of text.
_NAMES, _GAP, _LINE = 1.35, 0.03, 0.13
#: Inches of an image: the most, and those by which images are counted out in several columns.
_LARGEST, _SMALL = 0.5, 0.36

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


@dataclass(frozen=True)
class Row:
    """A strip on the sheet: its top in inches, the levels drawn, and whether it has a header."""

    strip: Strip
    top: float
    levels: Sequence[float]
    headed: bool


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw the first stored input, clean and under each attack and shift, a row each."""
    del looks  # no method has a line here
    strips = _strips(analysis)
    most_columns = _layout.side_by_side(_COLUMNS, beside=_COLUMNS * _NAMES)
    kept = kinds_last(strip.name for strip in strips)[: _ROWS * most_columns]
    drawn = [strip for strip in strips if strip.name in kept]
    if not drawn:
        return {}

    columns, smallest = 1, _LARGEST
    if len(drawn) > _ALONE:
        columns, smallest = most_columns, _SMALL
    room = paper().page / columns - _NAMES
    most = int(room / smallest)
    side = min(_LARGEST, room / most)

    count = math.ceil(len(drawn) / columns)
    blocks, ends = [], []
    for first in range(0, len(drawn), count):
        rows = _laid_out(drawn[first : first + count], side, most)
        blocks.append(rows)
        ends.append(rows[-1].top + side)

    height = max(ends)
    handles = _handles(drawn, len(strips) - len(drawn))
    figure = _layout.sheet(paper().page, height + 0.1, handles)
    for place, rows in enumerate(blocks):
        axes = board(figure, (1, len(blocks), place + 1), (side * most, height), "NW")
        names = ["\n".join(wrap(text(row.strip.name), 20)) for row in rows]
        axes.set_yticks([row.top + side / 2 for row in rows], labels=names)
        _block(axes, rows, side)
    return {"": figure}


def _strips(analysis: Analysis) -> list[Strip]:
    """The clean input, and each condition that changes it, those of several kinds last."""
    methods = analysis.methods
    clean = [one for one in analysis.results.examples if one.condition == "clean" and is_image(one)]
    clean.sort(key=lambda one: (methods.index(one.method), one.seed))
    strips = []
    for first in clean[:1]:
        strips.append(
            Strip("clean", "", {None: first.inputs[0]}, False, analysis.label(first.method))
        )

    # Single attacks and shifts first: a corruption of many kinds is cut where room ends.
    changed = []
    for family in sorted(analysis.families, key=lambda one: len(one.members)):
        for name in family.members:
            found = by_level(analysis, name)
            if not found:
                continue

            method, own = next(iter(found.items()))
            images: dict[float | None, np.ndarray] = {}
            for level, one in own.items():
                images[level] = one.inputs[0]
            differ = not all(alike(own, others) for others in found.values())
            shown = analysis.label(name)
            whose = analysis.label(method)
            changed.append(Strip(shown, analysis.level_name(name), images, differ, whose))

    return [*strips, *changed] if changed else []


def _laid_out(block: Sequence[Strip], side: float, most: int) -> list[Row]:
    """The row of each strip of a column, from the top down."""
    rows, bottom = [], 0.0
    above = ("", list[float]())
    for strip in block:
        known = [level for level in strip.images if level is not None]
        header = strip.level_name, spread(known, most)
        headed = header != above
        if headed:
            bottom += _LINE

        rows.append(Row(strip, bottom, header[1], headed))
        bottom += side
        above = header
    return rows


def _block(axes: Axes, rows: Sequence[Row], side: float) -> None:
    """Draw the images of each row, and its header above them."""
    small: Options = {"va": "center", "fontsize": 7}
    for row in rows:
        for place, level in enumerate(row.levels or [None]):
            _image(axes, pixels_of(row.strip.images[level]), (place * side, row.top), side)
        if not row.headed:
            continue

        y = row.top - _LINE / 2
        for place, level in enumerate(row.levels):
            axes.text((place + 0.5) * side, y, f"{level:g}", ha="center", **small)
        axes.text(-0.05, y, row.strip.level_name, ha="right", color="#666666", **small)


def _image(axes: Axes, pixels: np.ndarray, corner: tuple[float, float], side: float) -> None:
    """Draw an image in a frame."""
    (low, high), (bottom, upper) = axes.get_xlim(), axes.get_ylim()
    left, top, width, height = draw_image(axes, pixels, corner, side, _GAP)
    # Without it a white border would not be seen.
    axes.add_patch(Rectangle((left, top), width, height, **_FRAME))
    # matplotlib fits the axes to the image that it drew last.
    axes.set(xlim=(low, high), ylim=(bottom, upper))


def _handles(strips: Sequence[Strip], left_out: int) -> list[Artist]:
    """Which inputs and levels are drawn, and how many are left out."""
    said = ["the first of the stored examples; levels spread over all that were evaluated"]
    whose = [strip.method for strip in strips if strip.own]
    if whose:
        said.append(f"inputs that differ between methods: those of {text(whose[0])}")
    handles = [_legend.words("\n".join(wrap(one, 90))) for one in said]
    return [*handles, *_legend.left_out(left_out)]
