"""Distance of each method to the reference of the suite, beside the noise of the reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from bench_uq.api.metric import Metric
from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._rows import draw_row
from bench_uq.report.figures._style import paper, tidy
from bench_uq.report.looks import Look
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import Shown, Summary

#: Panels that fit beside each other.
_MOST = 4
#: Letters of a line of a title, and of a method.
_TITLE, _NAME = 14, 26
_NOISE = "#dddddd"
#: Times the median distance from which on the furthest method would squeeze the others together.
_FAR = 10
#: Inches of a page for the names, less what the first panel can spare.
_BESIDE = 1.0

#: Distance of each method in a panel.
Points = dict[str, Summary]


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw a panel for clean data, unseen data and shifts, with a row for each method."""
    # Of classes there is one distance, of real targets another.
    for metric in analysis.cards.shown("reference_figure"):
        panels = _panels(analysis, metric)
        if panels:
            return _layout.numbered(_sheets(analysis, analysis.cards[metric], panels, looks))
    return {}


def _panels(analysis: Analysis, metric: str) -> dict[Shown, Points]:
    """The distances of the methods by condition, attacks and shifts at their strongest."""
    found = dict[Shown, Points]()
    for place in analysis.shown:
        own = Points()
        for method in analysis.methods:
            summary = analysis.drawn(method, *place, metric)
            if summary:
                own[method] = summary
        if own:
            found[place] = own
    return found


def _sheets(
    analysis: Analysis,
    card: Metric,
    panels: Mapping[Shown, Points],
    looks: Mapping[str, Look],
) -> list[Figure]:
    """Panels that share their rows; the closest in the first stand on top."""
    left, panels = len(panels) - _MOST, dict(list(panels.items())[:_MOST])
    methods = _closest_first(panels)
    drawn = list[Summary]()
    for points in panels.values():
        drawn += points.values()
    floors = {place: _floors(analysis, card.companion, place, methods) for place in panels}

    handles = [_legend.words("further left: closer to the reference")]
    noise = "noise: one chain of the reference to its others"
    if any(floors.values()):
        handles.append(Patch(color=_NOISE, label=_legend.fitted(noise)))
    handles += [*_legend.range_handle("whiskers", drawn), *_legend.dagger_handle(analysis)]
    handles += _legend.left_out(max(0, left), "conditions ")
    seeds = {method: _seeds(panels, method) for method in methods}
    labels = [_legend.label(analysis, method, seeds[method], _NAME) for method in methods]
    titles = [_legend.shown_title(analysis, shown, _TITLE) for shown in panels]

    # All rows are as high as the name of most lines.
    height = 0.05 + 0.13 * _layout.most_lines(labels)
    height = height * len(methods) + 0.14 * _layout.most_lines(titles) + 0.6
    columns = _layout.side_by_side(len(panels), beside=_BESIDE)
    sheets, places = [], list(panels)
    for part in _layout.parts(len(places), columns, height):
        rows = math.ceil(len(places[part]) / columns)
        figure = _layout.sheet(paper().page, rows * height, handles)
        grid = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
        for axes in grid[len(places[part]) :]:
            axes.remove()

        for axes, shown, title in zip(grid, places[part], titles[part], strict=False):
            axes.set_title(title)
            _rows(axes, methods, panels[shown], looks)
            _to_scale(axes, panels[shown], floors[shown])
            axes.set_xlabel(card.axis.label if card.axis else card.id)
            tidy(axes)

        grid[0].set_yticks(range(len(methods)), labels)
        grid[0].set_ylim(len(methods) - 0.4, -0.6)
        sheets.append(figure)
    return sheets


def _to_scale(axes: Axes, points: Points, floors: Mapping[int, float]) -> None:
    """Draw the noise of each row, and begin at 0, where a method would be the reference.

    A logarithmic axis has no 0, but one method far from all others leaves them apart.
    """
    means = [one.mean for one in points.values()]
    ends = [one.high for one in points.values()] + list(floors.values())
    starts = [one.low for one in points.values()] + list(floors.values())
    wide = min(starts) > 0 and max(means) > _FAR * median(means)
    first = min(starts) / 1.6 if wide else 0.0
    for row, floor in floors.items():
        axes.barh(row, floor - first, left=first, height=1, color=_NOISE, linewidth=0, zorder=0)
    if wide:
        _layout.logarithmic(axes, [first, 1.3 * max(ends)], of="x")
        axes.set_xlim(first, 1.3 * max(ends))
        return
    axes.set_xlim(0, 1.06 * max(ends) or 1)
    axes.xaxis.set_major_locator(MaxNLocator(3))


def _rows(axes: Axes, methods: Sequence[str], points: Points, looks: Mapping[str, Look]) -> None:
    """Draw the mark of each method in its row, with whiskers over its seeds."""
    for row, method in enumerate(methods):
        if method in points:
            draw_row(axes, row, points[method], looks[method])
    axes.grid(axis="y", color="#eeeeee", linewidth=0.6)


def _closest_first(panels: Mapping[Shown, Points]) -> list[str]:
    """The methods of all panels by their distance in the first that has them."""
    distances = dict[str, float]()
    for points in panels.values():
        for method, one in points.items():
            distances.setdefault(method, one.mean)
    return sorted(distances, key=distances.__getitem__)


def _floors(
    analysis: Analysis, metric: str, place: Shown, methods: Sequence[str]
) -> dict[int, float]:
    """The floor in each row of a panel: methods of another prior have another reference."""
    found = dict[int, float]()
    for row, method in enumerate(methods):
        if summary := analysis.drawn(method, *place, metric):
            found[row] = summary.mean
    return found


def _seeds(panels: Mapping[Shown, Points], method: str) -> int:
    """The fewest seeds of a method in a panel."""
    return min(points[method].seeds for points in panels.values() if method in points)
