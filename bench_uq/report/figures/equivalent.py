"""Deep ensemble equivalent against the cost of training, and the line of the ensemble itself."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._style import Options, text, tidy
from bench_uq.report.looks import Look
from bench_uq.report.tables.captions import wrap
from bench_uq.score.analysis import Analysis
from bench_uq.score.equivalent import METRICS, Equivalent, Equivalents
from bench_uq.score.labels import in_words
from bench_uq.score.summaries import Summary, costs

#: Room beyond 1 and the last network for the marks at these bounds.
_ROOM = 0.3

#: Seconds and equivalent of each method in a panel.
Points = dict[str, tuple[Summary, Equivalent]]


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw the equivalent by each metric, with the range over seeds."""
    found = analysis.equivalents
    if found is None:
        return {}
    paid = {name: one for (name, *_), one in costs(analysis.results, ["train_seconds"]).items()}
    panels = {metric: _points(found, metric, paid) for metric in METRICS}
    panels = {metric: points for metric, points in panels.items() if points}
    own = paid.get(found.ensemble)
    if not panels or own is None or own.low <= 0:
        return {}

    titles = [f"by {in_words(analysis.cards[name].heading)}" for name in panels]
    names = ("training (s)", "networks of an ensemble")
    handles = _handles(analysis, found, panels, looks)
    figure, drawn = _layout.panels_of(titles, 2.2, handles, names)

    for axes, points in zip(drawn, panels.values(), strict=True):
        networks = np.arange(1, found.networks + 1)
        axes.plot(own.mean * networks / found.networks, networks, **_line(looks, found))
        _marks(axes, points, looks)
        axes.set(ylim=(1 - _ROOM, found.networks + _ROOM), yticks=networks)
        tidy(axes)

    ends = [own.mean, own.mean / found.networks]
    for points in panels.values():
        for one, _ in points.values():
            ends += one.low, one.high
    _layout.logarithmic(drawn[0], ends, of="x")
    for axes in drawn[1:]:
        _layout.logarithmic(axes, ends, of="x")
    return {"": figure}


def _points(found: Equivalents, metric: str, paid: Mapping[str, Summary]) -> Points:
    """Seconds and equivalent of the methods that have both."""
    points: Points = {}
    for (method, name), one in found.found.items():
        price = paid.get(method)
        # An axis of costs is logarithmic and has no zero.
        if name == metric and price is not None and price.low > 0:
            points[method] = (price, one)
    return points


def _marks(axes: Axes, points: Points, looks: Mapping[str, Look]) -> None:
    """Draw a mark per method at its means, and whiskers over the seeds."""
    for method, (cost, one) in points.items():
        line = _legend.line(looks[method])
        axes.hlines(one.mean, cost.low, cost.high, color=line["color"], linewidth=0.8)
        axes.vlines(cost.mean, *_range(one), color=line["color"], linewidth=0.8)
        line |= {"linestyle": "none", "markersize": line["markersize"] + 1}
        axes.plot(cost.mean, one.mean, **line)


def _range(one: Equivalent) -> tuple[float, float]:
    """The lowest and the highest seed."""
    return min(one.values), max(one.values)


def _line(looks: Mapping[str, Look], found: Equivalents) -> Options:
    """The line of the ensemble with fewer and all of its networks."""
    line = _legend.line(looks[found.ensemble])
    return {**line, "linestyle": "--", "linewidth": 0.9, "markersize": 3, "zorder": 1}


def _handles(
    analysis: Analysis,
    found: Equivalents,
    panels: Mapping[str, Points],
    looks: Mapping[str, Look],
) -> list[Artist]:
    """The marks of the methods, the ensemble's line, whiskers, and the bounds in words."""
    seeds, every = dict[str, int](), list[Summary]()
    for method in analysis.methods:
        for points in panels.values():
            if method in points:
                cost, one = points[method]
                seeds[method] = min(len(one.values), seeds.get(method, len(one.values)))
                every.append(cost)
    handles = _legend.method_handles(analysis, seeds, looks)
    for handle in handles:
        handle.set(linestyle="none")

    label = "\n".join(wrap(text(f"{analysis.label(found.ensemble)}, fewer networks"), 24))
    handles.append(Line2D([], [], label=label, **_line(looks, found)))
    handles += _legend.range_handle("whiskers", every)
    bounds = f"at 1: or worse than one;\nat {found.networks}: or better than all"
    return [*handles, _legend.words(bounds)]
