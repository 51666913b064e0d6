"""Accuracy, calibration and uncertainty by the level of an attack or shift."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench_uq.api.metric import Axis
from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._kinds import kinds_figure
from bench_uq.report.figures._rows import Score, row_sheets
from bench_uq.report.figures._style import Options, paper, text, tidy
from bench_uq.report.looks import Look
from bench_uq.report.tables.captions import wrap
from bench_uq.score.analysis import Analysis
from bench_uq.score.stress import Family
from bench_uq.score.summaries import Summary

_FLOOR: Options = {"color": "#666666", "linestyle": (0, (2, 2)), "linewidth": 0.7, "zorder": 1}
_COLUMNS = 3
#: Methods that can be told apart side by side at one level.
_MOST_BESIDE = 8


@dataclass(frozen=True)
class Panel:
    """One score under one condition: its axis, and the means of each method by level.

    ``floor`` holds the highest mean of the companion of the score at each level, if it has one.
    """

    axis: Axis
    levels: Sequence[float]
    lines: Mapping[str, Sequence[Summary | None]]
    floor: Sequence[float]

    @property
    def known(self) -> list[Summary]:
        """All means that exist."""
        found: list[Summary] = []
        for own in self.lines.values():
            found += filter(None, own)
        return found


def ends(analysis: Analysis) -> list[str]:
    """The ends of the names of all figures there may be."""
    found = list[str]()
    for one in analysis.families:
        if len(one.members) == 1:
            found.append(one.members[0])
            continue
        # Of many kinds at a single strength, bars side by side show more than a figure for each.
        found += [f"{one.name}-kinds"] if _at_one_strength(one) else one.members
        found.append(f"{one.name}-mean")
    return found


def draw(analysis: Analysis, looks: Mapping[str, Look], only: str = "") -> dict[str, Figure]:
    """Draw a figure per condition with levels, a panel per score; of several kinds also a mean.

    ``only`` is the end of the name of a single figure, empty for all.
    """
    figures = dict[str, Figure]()
    for end in [only] if only else ends(analysis):
        sheets = _of(analysis, looks, end)
        if sheets:
            figures |= _layout.numbered(sheets, end)
    return figures


def _of(analysis: Analysis, looks: Mapping[str, Look], end: str) -> list[Figure]:
    """The sheets of the figure of that end, if there is something to see."""
    for one in analysis.families:
        if end == f"{one.name}-mean" and len(one.members) > 1:
            averaged = analysis.over_kinds
            return _sheets(averaged, looks, one.title, _panels(averaged, one.title))
        if end == f"{one.name}-kinds" and len(one.members) > 1:
            figure = kinds_figure(analysis, looks, one)
            return [figure] if figure is not None else []
    return _sheets(analysis, looks, end, _panels(analysis, end))


def _sheets(
    analysis: Analysis, looks: Mapping[str, Look], condition: str, panels: Sequence[Panel]
) -> list[Figure]:
    """Lines by level; of many methods at one level a row for each."""
    if not panels:
        return []
    if len(panels[0].levels) == 1 and len(panels[0].lines) > _MOST_BESIDE:
        scores = [Score(one.axis, _alone(one)) for one in panels]
        (level,) = panels[0].levels
        return row_sheets(analysis, looks, scores, (condition, level))
    return [_figure(analysis, looks, condition, panels)]


def _alone(panel: Panel) -> dict[str, Summary | None]:
    """The score of each method at the only level."""
    return {method: summaries[0] for method, summaries in panel.lines.items()}


def _at_one_strength(one: Family) -> bool:
    """Whether all kinds of a family have one level, the same for all."""
    return len(one.levels) == 1


def _panels(analysis: Analysis, condition: str) -> list[Panel]:
    """A panel for each score that has a value at some level."""
    there = {metric for _, name, _, metric in analysis.summaries if name == condition}
    methods, levels = analysis.methods_shown([condition]), analysis.levels.get(condition, [])
    panels = []
    for metric in analysis.cards.shown("levels"):
        card = analysis.cards[metric]
        if metric not in there or card.axis is None:
            continue

        lines = {}
        for method in methods:
            lines[method] = _line(analysis, method, condition, metric)

        floor = []
        if card.companion in there:
            floors = [_line(analysis, name, condition, card.companion) for name in analysis.methods]
            for own in zip(*floors, strict=True):
                floor.append(max((one.mean for one in filter(None, own)), default=math.nan))
        panels.append(Panel(card.axis, levels, lines, floor))
    return panels


def _line(analysis: Analysis, method: str, condition: str, metric: str) -> list[Summary | None]:
    """One score of a method at each level of a condition."""
    levels = analysis.levels[condition]
    return [analysis.drawn(method, condition, level, metric) for level in levels]


def in_a_row(panels: int) -> int:
    """Panels in a row, so many that none is left over for a row of its own, if that can be."""
    usual, most = (_layout.side_by_side(count) for count in (_COLUMNS, _COLUMNS + 1))
    if panels <= usual:
        return panels
    for columns in (usual, most, usual - 1):
        if columns > 1 and panels % columns != 1:
            return columns
    return usual


def _figure(
    analysis: Analysis, looks: Mapping[str, Look], condition: str, panels: Sequence[Panel]
) -> Figure:
    """Draw one condition: means as lines, and the range over the seeds as bands."""
    columns = in_a_row(len(panels))
    rows = math.ceil(len(panels) / columns)
    handles = _handles(analysis, looks, panels)
    letters = min(32, int(14 * paper().page / columns))
    x = "\n".join(
        wrap(f"{analysis.level_name(condition)} of {text(analysis.label(condition))}", letters)
    )
    row = 1.85 + _layout.named_below(_layout.lines_in(x))
    figure = _layout.sheet(paper().page, row * rows + 0.3, handles)

    # The layout depends on the order in which panels are made, so that all are made before one is
    # drawn.
    grid = [figure.add_subplot(rows, columns, place + 1) for place in range(len(panels))]
    for place, (axes, panel) in enumerate(zip(grid, panels, strict=True)):
        _lines(axes, panel, looks)
        _scale(axes, panel)
        if panel.floor:
            axes.plot(panel.levels, panel.floor, **_FLOOR)
        tidy(axes)
        _bounds(axes, panel.axis, analysis.highest_entropy)

        lowest, _ = _layout.sides(place, len(panels), columns)
        axes.tick_params(labelbottom=lowest)
        axes.set_ylabel(panel.axis.label)
        if lowest:
            axes.set_xlabel(x)
    return figure


def _lines(axes: Axes, panel: Panel, looks: Mapping[str, Look]) -> None:
    """Draw the means of each method by level, with gaps, and the range over its seeds."""
    levels, count = np.array(panel.levels), len(panel.lines)
    alone = len(levels) == 1
    for place, (method, summaries) in enumerate(panel.lines.items()):
        ends = [(one.mean, one.low, one.high) if one else (math.nan,) * 3 for one in summaries]
        mean, low, high = np.array(ends).T

        # At a single level the methods stand side by side.
        x = levels + (place - (count - 1) / 2) if alone else levels
        marks = _legend.every(len(x), place, marks=12)
        axes.plot(x, mean, markevery=marks, **_legend.line(looks[method]))
        if alone:
            axes.vlines(x, low, high, color=looks[method].color, linewidth=0.8)
        elif (low < high).any():
            axes.fill_between(x, low, high, color=looks[method].color, alpha=0.15, linewidth=0)

    room = 0.05 * (levels[-1] - levels[0])
    if alone:
        room = count
        axes.set_xticks(panel.levels)
    # All of the levels, even if this score has only some: only the lowest panels name them.
    axes.set_xlim(levels[0] - room, levels[-1] + room)


def _scale(axes: Axes, panel: Panel) -> None:
    """Make the axis logarithmic if it should be, and say so if no value is finite."""
    ends: list[float] = []
    for one in panel.known:
        ends += one.low, one.high

    if not ends:
        _layout.nothing(axes, "no finite value")
    elif panel.axis.form == "log":
        _layout.logarithmic(axes, ends)


def _bounds(axes: Axes, axis: Axis, highest: float | None) -> None:
    """Show the whole range of a score if it is known, and mark the value of a guess."""
    low, high = axes.get_ylim()

    # Limits are a little wider than the range, so that a mark at its end is seen whole.
    if axis.form == "from zero":
        axes.set_ylim(-0.03 * high, None)
    if axis.chance == "1/2":
        axes.set_ylim(min(0.48, low), 1.02)
        _layout.mark(axes, 0.5, "chance", vertical=False)
    if axis.chance == "1/C":
        axes.set_ylim(-0.02, 1.02)

    # The number of classes is known by the highest entropy alone.
    if highest is None:
        return
    if axis.chance == "1/C":
        _layout.mark(axes, math.exp(-highest), "1/C", vertical=False)
    if axis.chance == "ln C":
        axes.set_ylim(-0.02 * highest, 1.04 * highest)
        _layout.mark(axes, highest, "ln C", vertical=False)


def _handles(
    analysis: Analysis, looks: Mapping[str, Look], panels: Sequence[Panel]
) -> list[Artist]:
    """The methods with the fewest seeds of one of their points, bands, and the floor of the ECE."""
    own: dict[str, list[Summary]] = {}
    for panel in panels:
        for method, summaries in panel.lines.items():
            own.setdefault(method, []).extend(filter(None, summaries))

    drawn: list[Summary] = []
    seeds = {}
    for method, found in own.items():
        drawn += found
        seeds[method] = min((one.seeds for one in found), default=0)

    handles = _legend.method_handles(analysis, seeds, looks)
    handles += _legend.range_handle("band" if len(panels[0].levels) > 1 else "whiskers", drawn)
    if any(panel.floor for panel in panels):
        handles.append(Line2D([], [], **_FLOOR, label="ECE floor (highest)"))
    return handles
