"""Scores of many methods at one level: a row for each method, panels side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench_uq.api.metric import Axis
from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._panels import together
from bench_uq.report.figures._style import Options, paper, tidy
from bench_uq.report.looks import Look
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import Shown, Summary

#: Inches of a line of a name, of what a row has besides, and of what stands above and below rows.
_LINE, _GAP, _AROUND = 0.125, 0.05, 0.65
#: Letters of a line of a name, and the inches that they take.
_LETTERS, _NAMES = 22, 1.45
#: Panels side by side.
_COLUMNS = 4


@dataclass(frozen=True)
class Score:
    """A score by method, where it is known, and its axis."""

    axis: Axis
    means: Mapping[str, Summary | None]


def row_sheets(
    analysis: Analysis, looks: Mapping[str, Look], scores: Sequence[Score], where: Shown
) -> list[Figure]:
    """Means with the range over seeds as whiskers, the methods in the order of the first score."""
    methods = _ordered(scores[0])
    drawn = list[Summary]()
    for score in scores:
        drawn += filter(None, score.means.values())
    names, heights = list[str](), list[float]()
    for method in methods:
        seeds = [one.seeds for score in scores if (one := score.means[method])]
        name = _legend.label(analysis, method, min(seeds, default=0), _LETTERS)
        names.append(name)
        heights.append(_LINE * _layout.lines_in(name) + _GAP)
    edges = np.cumsum([0.0, *heights])

    columns = min(_layout.side_by_side(_COLUMNS, beside=_NAMES), len(scores))
    row = edges[-1] + _AROUND
    handles = [
        _legend.words(_legend.shown_title(analysis, where, 60, ", ")),
        *_legend.range_handle("whiskers", drawn),
        *_legend.dagger_handle(analysis),
    ]

    sheets = []
    for part in _layout.parts(len(scores), columns, row):
        own = scores[part]
        rows = math.ceil(len(own) / columns)
        figure = _layout.sheet(paper().page, rows * row + 0.1, handles)
        for place, score in enumerate(own):
            axes = figure.add_subplot(rows, columns, place + 1)
            _panel(axes, score, methods, looks, (edges[:-1] + edges[1:]) / 2)
            axes.set_ylim(edges[-1], 0)
            leftmost = paper().panels or place % columns == 0
            axes.set_yticks((edges[:-1] + edges[1:]) / 2, labels=names)
            axes.tick_params(labelleft=leftmost)
            axes.set_xlabel(score.axis.label)
            together([axes], score.axis.label)
        sheets.append(figure)
    return sheets


def draw_row(axes: Axes, place: float, found: Summary, look: Look) -> None:
    """Draw a mean as the mark of its method at the height of its row, with whiskers over seeds."""
    style: Options = _legend.line(look) | {"linestyle": "none"}
    axes.hlines(place, found.low, found.high, color=look.color, linewidth=0.8)
    axes.plot(found.mean, place, **style)


def _ordered(score: Score) -> list[str]:
    """The methods, the highest mean of a score first."""

    def mean(method: str) -> float:
        found = score.means[method]
        known = found is not None and math.isfinite(found.mean)
        return -found.mean if found is not None and known else math.inf

    return sorted(score.means, key=mean)


def _panel(
    axes: Axes,
    score: Score,
    methods: Sequence[str],
    looks: Mapping[str, Look],
    places: np.ndarray,
) -> None:
    """Draw one score: a mark for each method."""
    ends = list[float]()
    for method, place in zip(methods, places, strict=True):
        found = score.means[method]
        if found is None or not math.isfinite(found.mean):
            continue
        ends += found.low, found.high
        draw_row(axes, place, found, looks[method])

    if not ends:
        _layout.nothing(axes, "no finite value")
    elif score.axis.form == "log":
        _layout.logarithmic(axes, ends, of="x")
    tidy(axes)
