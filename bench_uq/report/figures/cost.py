"""Quality against cost: a mark per method, and the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._style import COLUMN, PAGE, Options, tidy
from bench_uq.report.looks import Look
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import Summary, costs

#: The costs that have panels, by columns of runs.csv, and the names of their axes.
_COSTS = {"train_seconds": "training (s)", "seconds_per_1000": "1,000 predictions (s)"}
_FRONT: Options = {"color": "#999999", "linewidth": 1.0, "zorder": 1}

#: Cost and score of each method in a panel.
Points = dict[str, tuple[Summary, Summary]]


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw scores of clean data against costs, with the range over seeds."""
    found = _points(analysis)
    if not found:
        return {}
    priced = [cost for cost in _COSTS if any(cost == paid for paid, _ in found)]
    shown = analysis.cards.shown("cost_figure")
    scores = [score for score in shown if any(score == got for _, got in found)]

    width = COLUMN if len(priced) == 1 and len(analysis.methods) <= 6 else PAGE
    figure = _layout.sheet(width, 1.8 * len(scores) + 0.4, _handles(analysis, found, looks))
    grid = figure.subplots(len(scores), len(priced), sharex="col", sharey="row", squeeze=False)
    panels: dict[tuple[str, str], Axes] = {}
    for row, score in enumerate(scores):
        axis = analysis.cards[score].axis
        for column, cost in enumerate(priced):
            axes = panels[cost, score] = grid[row, column]
            _marks(axes, found.get((cost, score), {}), looks)
            free = (score == scores[-1], cost == priced[0])
            _layout.edge(axes, free, (_COSTS[cost], axis.label if axis else score))
            tidy(axes)

    for column, cost in enumerate(priced):
        ends = []
        for (paid, _), points in found.items():
            if paid == cost:
                ends += [end for one, _ in points.values() for end in (one.low, one.high)]
        _layout.logarithmic(grid[-1, column], ends, of="x")
    for (cost, score), axes in panels.items():  # once all marks have set the limits
        points = found.get((cost, score), {})
        ordered = [name for name in analysis.comparable if name in points]
        _front(axes, {name: points[name] for name in ordered}, analysis.cards[score].direction)
    return {"": figure}


def front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The Pareto front of (cost, loss): the points that no other beats in both, cheapest first."""
    kept: list[str] = []
    for name in sorted(points, key=lambda name: points[name]):
        if not kept or points[name][1] < points[kept[-1]][1] or points[name] == points[kept[-1]]:
            kept.append(name)
    return kept


def _points(analysis: Analysis) -> dict[tuple[str, str], Points]:
    """Cost and score of the methods that have both, by the ids of both."""
    paid = costs(analysis.results, _COSTS)
    found: dict[tuple[str, str], Points] = {}
    for method in analysis.methods:
        for score in analysis.cards.shown("cost_figure"):
            got = analysis.summaries.get((method, "clean", None, score))
            if got is None or not math.isfinite(got.mean):
                continue
            for cost in _COSTS:
                price = paid.get((method, "cost", None, cost))
                if price and price.low > 0:
                    found.setdefault((cost, score), {})[method] = (price, got)
    return found


def _marks(axes: Axes, points: Points, looks: Mapping[str, Look]) -> None:
    """Draw a mark per method at its means, and whiskers from the lowest to the highest seed."""
    for method, (cost, score) in points.items():
        line = _legend.line(looks[method])
        axes.hlines(score.mean, cost.low, cost.high, color=line["color"], linewidth=0.8)
        axes.vlines(cost.mean, score.low, score.high, color=line["color"], linewidth=0.8)
        line |= {"linestyle": "none", "markersize": line["markersize"] + 1}
        axes.plot(cost.mean, score.mean, **line)


def _front(axes: Axes, points: Points, direction: str) -> None:
    """Draw steps through the front, and on to the edges of the panel.

    One method alone has no front: it would be a cross through its mark.
    """
    if len(points) < 2:
        return
    sign = -1 if direction == "higher" else 1
    means = {name: (cost.mean, sign * score.mean) for name, (cost, score) in points.items()}
    kept = front(means)
    x = np.array([points[name][0].mean for name in kept])
    y = np.array([points[name][1].mean for name in kept])

    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    worst = bottom if direction == "higher" else top
    axes.step([x[0], *x, right], [worst, *y, y[-1]], where="post", **_FRONT)
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _handles(
    analysis: Analysis, found: Mapping[tuple[str, str], Points], looks: Mapping[str, Look]
) -> list[Artist]:
    """The marks of the methods without their lines, whiskers and front."""
    own: dict[str, list[Summary]] = {name: [] for name in analysis.methods}
    for points in found.values():
        for name, point in points.items():
            own[name] += point
    seeds = {name: min((one.seeds for one in ends), default=0) for name, ends in own.items()}

    handles = _legend.method_handles(analysis, seeds, looks)
    for handle in handles:
        handle.set(linestyle="none")
    drawn = [one for ends in own.values() for one in ends]
    return [*handles, *_legend.range_handle("whiskers", drawn), _front_handle(analysis)]


def _front_handle(analysis: Analysis) -> Artist:
    """The entry for the front of the means, in which unconverged methods have no place."""
    converged = len(analysis.comparable)
    if converged < 2:
        return _legend.words(f"no front: {converged or 'none'} converged")
    everyone = converged == len(analysis.methods)
    name = "Pareto front of the means" if everyone else "front of the converged means"
    return Line2D([], [], **_FRONT, label=name)
