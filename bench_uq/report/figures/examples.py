"""A few inputs of each condition, and what each method says of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from bench_uq.report.figures import panels
from bench_uq.report.figures.images import equal, is_image, pixels_of
from bench_uq.report.figures.style import PAGE, Look, Options, text
from bench_uq.report.tables.captions import wrap
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import Shown, kinds_last
from bench_uq.store.derived import Example

#: As many conditions as a page holds, how many stand side by side, and how many inputs these share.
_MOST, _COLUMNS, _INPUTS = 6, 3, 12
#: Inches: the methods' names, the gap between things, a line of text.
_NAMES, _GAP, _LINE = 1.6, 0.03, 0.125
#: The darkest cell is that of a confidence of one, and light enough for black numbers.
_SHADES: Options = {"cmap": "Greys", "vmin": 0, "vmax": 2.0}
_WRONG: Options = {"fill": False, "edgecolor": "black", "linewidth": 1.0, "zorder": 3}


@dataclass(frozen=True)
class Block:
    """One condition: the inputs that are drawn, and what each method said of them, or of its own of that number."""

    where: Shown
    shown: Example
    said: Mapping[str, np.ndarray]  # (N, C)
    own_inputs: bool  # whether the methods were shown different ones, each attacked for itself


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> Figure | None:
    """Draw inputs that are images, and beneath them a row a method: the class it says, the darker the surer."""
    del looks  # a row has a name
    blocks = _blocks(analysis)
    drawn = blocks[:_MOST]
    if not drawn:
        return None
    columns = 2 if len(drawn) == 4 else min(len(drawn), _COLUMNS)
    count = min(_INPUTS // columns, *(len(block.shown.inputs) for block in drawn))
    names = [
        panels.label(analysis, method, analysis.seeds(method).planned)
        for method in analysis.methods
    ]
    rows = [_LINE * panels.lines_of([name]) + 0.05 for name in ["true class", *names]]
    side = (PAGE - _NAMES) / columns / (count + 0.3)
    titles = [panels.shown_title(block.where, int(side * count * 13)) for block in drawn]
    height = side + sum(rows)
    sheets = math.ceil(len(drawn) / columns)
    handles = _handles(analysis, drawn, len(blocks) - len(drawn))
    figure = panels.sheet(PAGE, sheets * (height + 0.2 + 0.14 * panels.lines_of(titles)), handles)
    for place, (block, title) in enumerate(zip(drawn, titles, strict=True)):
        axes = figure.add_subplot(
            sheets, columns, place + 1, aspect="equal", anchor="N", frameon=False
        )
        axes.set(xlim=(0, side * count), ylim=(height, 0), xticks=[])
        axes.set_title(title)
        edges = side + np.cumsum([0.0, *rows])
        axes.set_yticks((edges[:-1] + edges[1:]) / 2, labels=["true class", *names])
        axes.tick_params(left=False, labelleft=place % columns == 0)
        axes.grid(visible=False)
        _images(axes, block.shown.inputs[:count], side)
        _cells(axes, block, analysis.methods, side * np.arange(count + 1), edges)
    return figure


def _blocks(analysis: Analysis) -> list[Block]:
    """Return what there is to draw: clean data, unseen data, and each attack or shift at its strongest."""
    images = [
        one for one in analysis.results.examples if is_image(one) and one.method in analysis.methods
    ]
    strongest: dict[str, float | None] = {}
    for one in images:
        known = strongest.get(one.condition)
        strongest[one.condition] = (
            one.level if known is None or one.level is None else max(known, one.level)
        )
    order = sorted(
        strongest.items(), key=lambda where: (where[0] != "clean", where[1] is not None, where[0])
    )
    order = [
        (condition, strongest[condition]) for condition in kinds_last(name for name, _ in order)
    ]
    return [
        _block(
            analysis.methods, where, [one for one in images if (one.condition, one.level) == where]
        )
        for where in order
    ]


def _block(methods: Sequence[str], where: Shown, examples: Sequence[Example]) -> Block:
    """Return the inputs of the first method, and what was said by those that were shown the same or attacked ones."""
    ordered = sorted(examples, key=lambda one: (methods.index(one.method), one.seed))
    first = ordered[0]
    same = [
        one
        for one in ordered
        if equal(one.targets, first.targets) and one.inputs.shape == first.inputs.shape
    ]
    if where[1] is None:
        same = [one for one in same if np.array_equal(one.inputs, first.inputs)]
    said = {one.method: one.probs for one in reversed(same) if one.probs is not None}
    return Block(
        where, first, said, not all(np.array_equal(one.inputs, first.inputs) for one in same)
    )


def _images(axes: Axes, inputs: np.ndarray, side: float) -> None:
    """Draw images beside each other, each as large as its square allows."""
    for place, image in enumerate(inputs):
        pixels = pixels_of(image)
        height, width = (side - 2 * _GAP) * np.array(pixels.shape[:2]) / max(pixels.shape[:2])
        left, top = place * side + (side - width) / 2, (side - height) / 2
        extent = (left, left + width, top + height, top)
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="nearest")


def _cells(
    axes: Axes, block: Block, methods: Sequence[str], columns: np.ndarray, rows: np.ndarray
) -> None:
    """Draw the right classes, and a row a method: classes shaded by confidence, wrong ones framed."""
    count = len(columns) - 1
    targets = None if block.shown.targets is None else block.shown.targets[:count]
    shades = np.full((len(methods), count), np.nan)
    for place in range(count):
        _write(
            axes,
            columns[place : place + 2],
            rows[:2],
            "–" if targets is None else str(int(targets[place])),
        )
    for row, method in enumerate(methods):
        probs = block.said.get(method)
        for place in range(count):
            box = columns[place : place + 2], rows[row + 1 : row + 3]
            if probs is None:
                _write(axes, *box, "–")
                continue
            said, shades[row, place] = int(probs[place].argmax()), probs[place].max()
            _write(axes, *box, str(said))
            if targets is not None and said != targets[place]:
                (left, right), (top, bottom) = box
                axes.add_patch(
                    Rectangle(
                        (left + 0.02, top + 0.02),
                        right - left - 0.04,
                        bottom - top - 0.04,
                        **_WRONG,
                    )
                )
    axes.pcolormesh(
        columns, rows[1:], np.ma.masked_invalid(shades), **_SHADES, edgecolor="white", linewidth=0.8
    )
    axes.set(xlim=(columns[0], columns[-1]), ylim=(rows[-1], 0))


def _write(axes: Axes, x: np.ndarray, y: np.ndarray, number: str) -> None:
    """Write into the middle of a cell."""
    axes.text(
        x.mean(), y.mean(), number, ha="center", va="center_baseline", fontsize=7, color="black"
    )


def _handles(analysis: Analysis, blocks: Sequence[Block], left_out: int) -> list[Artist]:
    """Return what shades, frames and dashes mean, and whose inputs are drawn."""
    shade = colormaps[_SHADES["cmap"]]
    handles: list[Artist] = [
        Patch(color=shade(sure / _SHADES["vmax"]), label=f"class, confidence {sure:g}")
        for sure in (0.2, 0.6, 1.0)
    ]
    if any(block.shown.targets is not None for block in blocks):
        handles.append(Patch(**_WRONG, label="wrong class"))
    handles.append(_said("–: none known"))
    own = {block.shown.method: None for block in blocks if block.own_inputs}
    if own:
        whose = wrap(f"attacked inputs: those for {' or '.join(map(text, own))}", 32)
        handles.append(_said("\n".join([*whose, "(each method saw its own)"])))
    return [*handles, *panels.left_out(left_out), *panels.dagger_handle(analysis)]


def _said(sentence: str) -> Artist:
    """Return an entry of a legend that is words alone."""
    return Line2D([], [], linestyle="none", label=sentence)
