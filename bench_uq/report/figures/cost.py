"""Quality against cost: a mark per method, and the Pareto front."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import product

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._style import Options, tidy
from bench_uq.report.looks import Look
from bench_uq.score.analysis import Analysis
from bench_uq.score.front import front
from bench_uq.score.summaries import Summary, costs

#: The costs that have panels, by columns of runs.csv, and the names of their axes.
_COSTS = {"train_seconds": "training (s)", "seconds_per_1000": "1,000 predictions (s)"}
#: Methods of which each has whiskers; of more only those on the front.
_MOST_RANGED = 12
_FRONT: Options = {"color": "#999999", "linewidth": 1.0, "zorder": 1}

#: Cost and score of each method in a panel.
Points = dict[str, tuple[Summary, Summary]]


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw scores of clean data against costs, with the range over seeds."""
    found = _points(analysis)
    if not found:
        return {}

    paid, scored = zip(*found, strict=True)
    priced = list(dict.fromkeys(paid))
    scores = [score for score in analysis.cards.shown("cost_figure") if score in scored]

    width = _layout.width(fits=len(priced) == 1 and len(analysis.methods) <= 6)
    # Where not all costs fit side by side, each panel has a row and axes of its own.
    apart = _layout.side_by_side(len(priced)) < len(priced)
    rows = len(scores) * (len(priced) if apart else 1)
    share: Options = {} if apart else {"sharex": "col", "sharey": "row"}
    figure = _layout.sheet(width, 1.8 * rows + 0.4, _handles(analysis, found, looks))
    grid = figure.subplots(rows, 1 if apart else len(priced), squeeze=False, **share)
    grid = grid.reshape(len(scores), len(priced))
    panels: dict[tuple[str, str], Axes] = {}

    for row, score in enumerate(scores):
        axis = analysis.cards[score].axis
        for column, cost in enumerate(priced):
            axes = panels[cost, score] = grid[row, column]
            points = found.get((cost, score), {})
            best = _best(analysis, points, score)
            # Of many methods the whiskers would hide the marks.
            ranged = best if len(analysis.methods) > _MOST_RANGED else points
            _marks(axes, points, looks, ranged)
            free = (apart or score == scores[-1], apart or cost == priced[0])
            _layout.edge(axes, free, (_COSTS[cost], axis.label if axis else score))
            tidy(axes)

    for column, cost in enumerate(priced):
        ends: list[float] = []
        for score in scores:
            for one, _ in found.get((cost, score), {}).values():
                ends += one.low, one.high
        for axes in grid[:, column] if apart else grid[-1:, column]:
            _layout.logarithmic(axes, ends, of="x")

    # A front runs on to the edges of its panel, which are known once all marks are drawn.
    for (cost, score), axes in panels.items():
        points = found.get((cost, score), {})
        corners = [points[name] for name in _best(analysis, points, score)]
        # The front of one method would be a cross through its mark.
        if sum(name in points for name in analysis.comparable) > 1:
            _front(axes, corners, analysis.cards[score].direction)
    return {"": figure}


def _points(analysis: Analysis) -> dict[tuple[str, str], Points]:
    """Cost and score of the methods that have both, by the ids of both."""
    paid = costs(analysis.results, _COSTS)
    found: dict[tuple[str, str], Points] = {}
    for cost, score in product(_COSTS, analysis.cards.shown("cost_figure")):
        for method in analysis.methods:
            price = paid.get((method, "cost", None, cost))
            got = analysis.drawn(method, "clean", None, score)
            # An axis of costs is logarithmic and has no zero.
            if price and got and price.low > 0:
                found.setdefault((cost, score), {})[method] = (price, got)
    return found


def _best(analysis: Analysis, points: Points, score: str) -> list[str]:
    """The methods on the front of a panel, the cheapest first."""
    sign = -1 if analysis.cards[score].direction == "higher" else 1
    means = dict[str, tuple[float, float]]()
    # A method that is not alike can beat no other.
    for name in analysis.comparable:
        if name in points:
            cost, found = points[name]
            means[name] = (cost.mean, sign * found.mean)
    return front(means)


def _marks(axes: Axes, points: Points, looks: Mapping[str, Look], ranged: Collection[str]) -> None:
    """Draw a mark per method at its means, and whiskers of some from lowest to highest seed."""
    for method, (cost, score) in points.items():
        line = _legend.line(looks[method])
        if method in ranged:
            axes.hlines(score.mean, cost.low, cost.high, color=line["color"], linewidth=0.8)
            axes.vlines(cost.mean, score.low, score.high, color=line["color"], linewidth=0.8)
        line |= {"linestyle": "none", "markersize": line["markersize"] + 1}
        axes.plot(cost.mean, score.mean, **line)


def _front(axes: Axes, corners: Sequence[tuple[Summary, Summary]], direction: str) -> None:
    """Draw steps through the front, and on to the edges of the panel."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    worst = bottom if direction == "higher" else top
    x, y = np.array([(cost.mean, score.mean) for cost, score in corners]).T
    axes.step([x[0], *x, right], [worst, *y, y[-1]], where="post", **_FRONT)
    # The line would widen the limits to which it was drawn.
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _handles(
    analysis: Analysis, found: Mapping[tuple[str, str], Points], looks: Mapping[str, Look]
) -> list[Artist]:
    """The marks of the methods without their lines, whiskers and front."""
    drawn: list[Summary] = []
    seeds = {}
    for method in analysis.methods:
        own: list[Summary] = []
        for points in found.values():
            own += points.get(method, ())
        seeds[method] = min((one.seeds for one in own), default=0)
        drawn += own

    handles = _legend.method_handles(analysis, seeds, looks)
    for handle in handles:
        handle.set(linestyle="none")
    of = " of the front" if len(analysis.methods) > _MOST_RANGED else ""
    handles += _legend.range_handle("whiskers", drawn, of=of)
    return [*handles, _front_handle(analysis)]


def _front_handle(analysis: Analysis) -> Artist:
    """The entry for the front of the means, in which methods that are not alike have no place."""
    alike = len(analysis.comparable)
    if alike < 2:
        return _legend.words("no front: no two methods are alike")

    name = "Pareto front of the means"
    if alike < len(analysis.methods):
        name = "front of the methods that are alike"
    return Line2D([], [], **_FRONT, label=name)
