"""A few inputs of each condition, and the class that each method predicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._images import board, draw_image, equal, is_image, pixels_of
from bench_uq.report.figures._style import Options, paper, text
from bench_uq.report.looks import Look
from bench_uq.report.tables.captions import wrap
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import Shown, kinds_last
from bench_uq.store.examples import Example

#: As many conditions as a page holds, how many stand side by side, and how many inputs they share.
_MOST, _COLUMNS, _INPUTS = 6, 3, 12
#: Inches: the methods' names, the gap between things, a line of text.
_NAMES, _GAP, _LINE = 1.6, 0.03, 0.125
#: Inches of an image, at least.
_SMALLEST = 0.3
#: The darkest cell is that of a confidence of one, and light enough for black numbers.
_SHADES: Options = {"cmap": "Greys", "vmin": 0, "vmax": 2.0}
_UNKNOWN = "–"
_WRONG: Options = {"fill": False, "edgecolor": "black", "linewidth": 1.0, "zorder": 3}


@dataclass(frozen=True)
class Block:
    """One condition: the inputs that are drawn, and each method's probabilities (N, C).

    Attacks differ between methods: then ``own_inputs`` is set, and each method saw its own.
    """

    where: Shown
    shown: Example
    probs: Mapping[str, np.ndarray]
    own_inputs: bool


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw inputs that are images, and a row per method: its class, the darker the surer."""
    del looks  # rows have names, and shades mean confidence
    blocks = _blocks(analysis)
    drawn = blocks[:_MOST]
    if not drawn:
        return {}

    # Four in two rows of two leave no holes.
    columns = 2 if len(drawn) == 4 else min(len(drawn), _COLUMNS)
    columns = _layout.side_by_side(columns, beside=_NAMES)
    room = (paper().page - _NAMES) / columns
    most = min(_INPUTS // columns, int(room / _SMALLEST))
    count = min(most, *(len(block.shown.inputs) for block in drawn))
    # A block alone in its row lies to the right of the whole of the names.
    side = room / (count + (0.3 if columns > 1 else 1.0))
    letters = int(side * count * 13)
    titles = [_legend.shown_title(analysis, block.where, letters) for block in drawn]

    names, rows = ["true class"], [_LINE + 0.05]
    for method in analysis.methods:
        name = _legend.label(analysis, method, analysis.seeds(method).planned)
        names.append(name)
        rows.append(_LINE * _layout.lines_in(name) + 0.05)
    edges = side + np.cumsum([0.0, *rows])
    height = edges[-1] + 0.2 + 0.14 * _layout.most_lines(titles)
    handles = _handles(analysis, drawn, len(blocks) - len(drawn))

    figures = []
    for part in _layout.parts(len(drawn), columns, height):
        own = drawn[part]
        sheets = math.ceil(len(own) / columns)
        figure = _layout.sheet(paper().page, sheets * height, handles)
        anchor = "N" if columns > 1 else "NE"
        for place, (block, title) in enumerate(zip(own, titles[part], strict=True)):
            shape = (sheets, columns, place + 1)
            axes = board(figure, shape, (side * count, edges[-1]), anchor)
            axes.set_title(title)
            axes.set_yticks((edges[:-1] + edges[1:]) / 2, labels=names)
            axes.tick_params(labelleft=place % columns == 0)

            for column, image in enumerate(block.shown.inputs[:count]):
                draw_image(axes, pixels_of(image), (column * side, 0), side, 2 * _GAP)
            # Last, because it sets the limits that images change.
            _cells(axes, block, analysis.methods, side * np.arange(count + 1), edges)
        figures.append(figure)
    return _layout.numbered(figures)


def _blocks(analysis: Analysis) -> list[Block]:
    """Clean data, out-of-distribution data, and each attack or shift at one level."""
    images = []
    stored: dict[str, list[float]] = {}
    for one in analysis.results.examples:
        if is_image(one) and one.method in analysis.methods:
            images.append(one)
            levels = stored.setdefault(one.condition, [])
            levels += [] if one.level is None else [one.level]

    def order(name: str) -> tuple[bool, bool, str]:
        return name != "clean", bool(stored[name]), name

    blocks = []
    for condition in kinds_last(sorted(stored, key=order)):
        where = (condition, _level(analysis, condition, stored[condition]))
        own = [one for one in images if (one.condition, one.level) == where]
        blocks.append(_block(analysis.methods, where, own))
    return blocks


def _level(analysis: Analysis, condition: str, stored: Sequence[float]) -> float | None:
    """The level that is drawn of a condition; None if it has none."""
    if not stored:
        return None
    level = analysis.level_of(condition) if condition in analysis.levels else None
    return level if level in stored else max(stored)


def _block(methods: Sequence[str], where: Shown, examples: Sequence[Example]) -> Block:
    """The inputs of the first method, and the probabilities of all on the same or attacked ones."""
    first, *others = sorted(examples, key=lambda one: (methods.index(one.method), one.seed))
    same, differ = [first], False

    for one in others:
        # Other classes are those of other inputs, of which no class can stand below these.
        if not equal(one.targets, first.targets) or one.inputs.shape != first.inputs.shape:
            continue

        # Only an attack or a shift, which has levels, makes other inputs of the same ones.
        alike = np.array_equal(one.inputs, first.inputs)
        if alike or where[1] is not None:
            same.append(one)
            differ |= not alike

    probs = {}
    # Reversed, so that the first seed comes last and stays.
    for one in reversed(same):
        if one.probs is not None:
            probs[one.method] = one.probs
    return Block(where, first, probs, differ)


def _cells(
    axes: Axes, block: Block, methods: Sequence[str], columns: np.ndarray, rows: np.ndarray
) -> None:
    """Draw the true classes, and a row per method: classes shaded by confidence, errors framed."""
    count = len(columns) - 1
    targets = [_UNKNOWN] * count
    if block.shown.targets is not None:
        targets = [str(int(target)) for target in block.shown.targets[:count]]
    for place, target in enumerate(targets):
        _write(axes, columns[place : place + 2], rows[:2], target)

    shades = np.full((len(methods), count), np.nan)
    for row, method in enumerate(methods):
        probs = block.probs.get(method)
        for place, target in enumerate(targets):
            box = columns[place : place + 2], rows[row + 1 : row + 3]
            if probs is None:
                _write(axes, *box, _UNKNOWN)
                continue

            said, shades[row, place] = str(probs[place].argmax()), probs[place].max()
            _write(axes, *box, said)
            if target not in (_UNKNOWN, said):
                _frame(axes, *box)

    axes.pcolormesh(columns, rows[1:], shades, **_SHADES, edgecolor="white", linewidth=0.8)
    axes.set(xlim=(columns[0], columns[-1]), ylim=(rows[-1], 0))


def _write(axes: Axes, x: np.ndarray, y: np.ndarray, name: str) -> None:
    """Write a class into the middle of a cell."""
    style: Options = {"ha": "center", "va": "center_baseline", "fontsize": 7, "color": "black"}
    axes.text(x.mean(), y.mean(), name, **style)


def _frame(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Frame a cell."""
    (left, right), (top, bottom) = x, y
    # Inside the cell, or the frames of neighbours would be one.
    corner = (left + 0.02, top + 0.02)
    axes.add_patch(Rectangle(corner, right - left - 0.04, bottom - top - 0.04, **_WRONG))


def _handles(analysis: Analysis, blocks: Sequence[Block], left_out: int) -> list[Artist]:
    """The meaning of shades, frames and dashes, and whose inputs are drawn."""
    shade = colormaps[_SHADES["cmap"]]
    handles: list[Artist] = []
    for sure in (0.2, 0.6, 1.0):
        color = shade(sure / _SHADES["vmax"])
        handles.append(Patch(color=color, label=f"class, confidence {sure:g}"))

    if any(block.shown.targets is not None for block in blocks):
        handles.append(Patch(**_WRONG, label="wrong class"))
    handles.append(_legend.words(f"{_UNKNOWN}: unknown"))

    own = dict.fromkeys(block.shown.method for block in blocks if block.own_inputs)
    if own:
        whose = wrap(
            f"attacked inputs: those of {' or '.join(map(text, map(analysis.label, own)))}", 32
        )
        handles.append(_legend.words("\n".join([*whose, "(each method saw its own)"])))
    return [*handles, *_legend.left_out(left_out), *_legend.dagger_handle(analysis)]
