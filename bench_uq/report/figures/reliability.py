"""Accuracy by confidence on clean data: a panel per method, with the frequency of confidences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._panels import together
from bench_uq.report.figures._style import Options, tidy
from bench_uq.report.looks import Look
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import clean_examples, consistency, reliability

#: Bins with a smaller share of the examples are drawn hollow, because they are mostly chance.
_FEW = 0.01
_TICKS = (0, 0.5, 1)
#: Height of the upper panel of a method over that of the lower.
_UPPER = 4
_DIAGONAL: Options = {"color": "#666666", "linestyle": (0, (2, 2)), "linewidth": 0.7}
_BAR: Options = {"color": "#cccccc", "linewidth": 3, "zorder": 1}


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw two small panels per method."""
    if not analysis.results.curves["curve"].eq("reliability_share").any():
        return {}

    letters = _layout.letters_in_title(len(analysis.methods))
    found, titles, highest = dict[str, pd.DataFrame](), list[str](), 0.0
    for method in analysis.methods:
        found[method], seeds = _bins_of(analysis, method)
        title = _legend.label(analysis, method, seeds, letters)
        titles.append("\n".join([title, *_ece(analysis, method)]))
        highest = max(highest, found[method]["share"].max() if len(found[method]) else 0)

    top = math.ceil(10 * (highest or 1)) / 10
    bars = any("low" in bins for bins in found.values())
    handles = [*_handles(bars=bars), *_legend.dagger_handle(analysis)]
    row = 1.75 + 0.14 * _layout.most_lines(titles)
    _, columns, _ = _layout.shape(len(titles))
    sheets = []
    for part in _layout.parts(len(titles), columns, row):
        own = dict(list(found.items())[part])
        sheets.append(_sheet(own, titles[part], handles, looks, (row, top)))
    return _layout.numbered(sheets)


def _sheet(
    found: Mapping[str, pd.DataFrame],
    titles: Sequence[str],
    handles: Sequence[Artist],
    looks: Mapping[str, Look],
    heights: tuple[float, float],
) -> Figure:
    """The panels of some methods; ``heights`` are a row's in inches and the highest share."""
    row_height, top = heights
    rows, columns, width = _layout.shape(len(found))
    figure = _layout.sheet(width, rows * row_height + 0.1, handles)
    grid = figure.add_gridspec(2 * rows, columns, height_ratios=[_UPPER, 1] * rows)
    for place, (method, bins) in enumerate(found.items()):
        row, column = divmod(place, columns)
        limits: Options = {"xlim": (0, 1), "xticks": _TICKS}
        upper = figure.add_subplot(grid[2 * row, column], ylim=(0, 1), **limits)
        lower = figure.add_subplot(grid[2 * row + 1, column], ylim=(0, top), **limits)
        upper.set_title(titles[place])
        _bins(upper, bins, looks[method])
        _shares(lower, bins, looks[method])

        together((upper, lower), titles[place].partition("\nECE")[0])
        free = _layout.sides(place, len(found), columns)
        _layout.edge(upper, free, ("", "accuracy"))
        upper.tick_params(labelbottom=False)
        _layout.edge(lower, free, ("confidence", "share"))
    _square(figure, rows)
    return figure


def _bins_of(analysis: Analysis, method: str) -> tuple[pd.DataFrame, int]:
    """The bins of a method with their bars, if its examples are known, and its seeds."""
    bins, seeds = reliability(analysis.results, method)
    examples = clean_examples(analysis.results, method)
    if examples is None or bins.empty:
        return bins, seeds
    return bins.join(consistency(bins, examples)), seeds


def _square(figure: Figure, rows: int) -> None:
    """Make the upper panels square, so that the diagonal is at 45 degrees, if a page is enough."""
    # The width that names and numbers leave to a panel is known once the figure is laid out.
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.execute(figure)

    panel = figure.axes[0].get_position()
    missing = panel.width * figure.get_figwidth() - panel.height * figure.get_figheight()
    height = figure.get_figheight() + missing * rows * (1 + 1 / _UPPER)
    # Rounded: the solver's last digits differ from run to run.
    figure.set_figheight(round(min(height, max(_layout.PAGE_HEIGHT, figure.get_figheight())), 2))


def _bins(axes: Axes, bins: pd.DataFrame, look: Look) -> None:
    """Draw the accuracy of each bin of confidence against the diagonal."""
    axes.set_yticks(_TICKS)
    tidy(axes)
    if bins.empty:
        _layout.nothing(axes)
        return

    if "low" in bins:
        axes.vlines(bins["confidence"], bins["low"], bins["high"], **_BAR)
    axes.plot([0, 1], [0, 1], **_DIAGONAL)
    line = _legend.line(look)
    # A mark at a confidence of one is seen whole.
    line |= {"markeredgecolor": look.color, "linewidth": 0.8, "clip_on": False}
    axes.plot(bins["confidence"], bins["accuracy"], **line)
    few = bins[bins["share"] < _FEW]
    # An empty line that is not clipped counts as lying at the figure's corner.
    if not few.empty:
        line |= {"linestyle": "none", "markerfacecolor": "white"}
        axes.plot(few["confidence"], few["accuracy"], **line)


def _shares(axes: Axes, bins: pd.DataFrame, look: Look) -> None:
    """Draw the share of the examples in each bin of confidence."""
    axes.set_yticks(axes.get_ylim(), labels=[f"{share:g}" for share in axes.get_ylim()])
    tidy(axes)

    centres = bins.index.to_numpy(float)
    width = float(np.diff(centres).min()) if len(centres) > 1 else 1 / 15
    axes.bar(centres, bins["share"], width=0.9 * width, color=look.color, alpha=0.7)


def _handles(*, bars: bool) -> list[Artist]:
    """Samples of everything in the panels, in no method's colour."""
    point: Options = {"linestyle": "none", "marker": "o", "color": "#666666"}
    bar = [Line2D([], [], **_BAR, label="90 % of outcomes if calibrated")] if bars else []
    return [
        Line2D([], [], **_DIAGONAL, label="perfect calibration"),
        *bar,
        Line2D([], [], **point, label="bin of confidence"),
        Line2D([], [], **point, markerfacecolor="white", label=f"under {_FEW:.0%} of examples"),
        _legend.words("floor: expected ECE if calibrated"),
    ]


def _ece(analysis: Analysis, method: str) -> list[str]:
    """The line with the ECE, always with its floor beside it."""
    found = analysis.summaries.get((method, "clean", None, "ece"))
    if found is None:
        return []

    # The ECE of a calibrated model is above 0 too, the more so the fewer examples there are.
    floor = analysis.summaries.get((method, "clean", None, "ece_if_calibrated"))
    if floor is None:
        return [f"ECE {found.mean:.3f}, floor –"]
    return [f"ECE {found.mean:.3f}, floor {floor.mean:.3f}"]
