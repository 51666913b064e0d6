"""What each method costs, and how good it is for that."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench_uq.report.figures import panels
from bench_uq.report.figures.style import COLUMN, PAGE, Look, Options, tidy
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import Summary, costs, directions

#: The columns of runs.csv and the scores of clean data that have panels, where known, and the names of their axes.
_COSTS = {"train_seconds": "training (s)", "seconds_per_1000": "1,000 predictions (s)"}
_SCORES = {"nll": "NLL (nats)", "accuracy": "accuracy", "rmse": "RMSE"}
_FRONT: Options = {"color": "#999999", "linewidth": 1.0, "zorder": 1}

#: A method's cost and score.
Point = tuple[Summary, Summary]


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> Figure | None:
    """Draw scores of clean data against costs, a mark a method with the range over its seeds, and the Pareto front."""
    found = _points(analysis)
    priced = [cost for cost in _COSTS if any((cost, score) in found for score in _SCORES)]
    scores = [score for score in _SCORES if any((cost, score) in found for cost in priced)]
    if not priced:
        return None
    seeds = {
        name: _fewest(own[name] for own in found.values() if name in own)
        for name in analysis.methods
    }
    width = COLUMN if len(priced) == 1 and len(analysis.methods) <= 6 else PAGE
    ends = (one for own in found.values() for point in own.values() for one in point)
    spread = panels.range_handle("whiskers", ends)
    handles = [*_method_handles(analysis, seeds, looks), *spread, *_front_handle(analysis)]
    figure = panels.sheet(width, 1.8 * len(scores) + 0.4, handles)
    grid = figure.subplots(len(scores), len(priced), sharex="col", sharey="row", squeeze=False)
    places = {
        (cost, score): grid[row, column]
        for column, cost in enumerate(priced)
        for row, score in enumerate(scores)
    }
    for (cost, score), axes in places.items():
        _marks(axes, found.get((cost, score), {}), looks)
        panels.edge(axes, (score == scores[-1], cost == priced[0]), _COSTS[cost], _SCORES[score])
        tidy(axes)
    for cost in priced:
        paid = [point[0] for score in scores for point in found.get((cost, score), {}).values()]
        panels.logarithmic(
            places[cost, scores[-1]], [end for one in paid for end in (one.low, one.high)], of="x"
        )
    for (cost, score), axes in places.items():  # once all marks have set the limits
        _front(axes, found.get((cost, score), {}), analysis.comparable, directions()[score])
    return figure


def front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return whom no other beats in cost and loss, cheapest first: the Pareto front of (cost, loss)."""
    kept: list[str] = []
    for name in sorted(points, key=lambda name: points[name]):
        if not kept or points[name][1] < points[kept[-1]][1] or points[name] == points[kept[-1]]:
            kept.append(name)
    return kept


def _points(analysis: Analysis) -> dict[tuple[str, str], dict[str, Point]]:
    """Return cost and score of the methods that have both, by what is paid and what is got."""
    paid, got = costs(analysis.results, _COSTS), analysis.summaries
    found: dict[tuple[str, str], dict[str, Point]] = {}
    for method in analysis.methods:
        for cost in _COSTS:
            for score in _SCORES:
                point = (
                    paid.get((method, "cost", None, cost)),
                    got.get((method, "clean", None, score)),
                )
                if point[0] and point[1] and point[0].low > 0 and math.isfinite(point[1].mean):
                    found.setdefault((cost, score), {})[method] = point  # type: ignore[assignment]
    return found


def _marks(axes: Axes, points: Mapping[str, Point], looks: Mapping[str, Look]) -> None:
    """Draw a mark a method at its means, and whiskers from the lowest to the highest seed."""
    for method, (cost, score) in points.items():
        line = panels.line(looks[method])
        axes.hlines(score.mean, cost.low, cost.high, color=line["color"], linewidth=0.8)
        axes.vlines(cost.mean, score.low, score.high, color=line["color"], linewidth=0.8)
        axes.plot(
            cost.mean,
            score.mean,
            **{**line, "linestyle": "none", "markersize": line["markersize"] + 1},
        )


def _front(axes: Axes, points: Mapping[str, Point], ordered: Iterable[str], direction: str) -> None:
    """Draw steps through those of some methods that are on their front, and on to the edges of the panel.

    One method alone has no front: it would be a cross through its mark.
    """
    sign = -1 if direction == "higher" else 1
    means = {
        name: (points[name][0].mean, sign * points[name][1].mean)
        for name in ordered
        if name in points
    }
    if len(means) < 2:
        return
    kept = front(means)
    x = np.array([points[name][0].mean for name in kept])
    y = np.array([points[name][1].mean for name in kept])
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    worst = bottom if direction == "higher" else top
    axes.step([x[0], *x, right], [worst, *y, y[-1]], where="post", **_FRONT)
    axes.set(xlim=(left, right), ylim=(bottom, top))


def _method_handles(
    analysis: Analysis, seeds: Mapping[str, int], looks: Mapping[str, Look]
) -> list[Artist]:
    """Return the marks of the methods without their lines."""
    handles = panels.method_handles(analysis, seeds, looks)
    for handle in handles:
        handle.set(linestyle="none")
    return handles


def _front_handle(analysis: Analysis) -> list[Artist]:
    """Return the entry of a legend for the front of the means, in which unconverged methods have no place."""
    ordered = analysis.comparable
    if len(ordered) < 2:
        return [
            Line2D([], [], linestyle="none", label=f"no front: {len(ordered) or 'none'} converged")
        ]
    name = (
        "Pareto front of the means"
        if len(ordered) == len(analysis.methods)
        else "front of the converged means"
    )
    return [Line2D([], [], **_FRONT, label=name)]


def _fewest(points: Iterable[Point]) -> int:
    """Return the fewest seeds that a cost or score of a method rests on; one not there is seen to be missing."""
    return min((one.seeds for point in points for one in point), default=0)
