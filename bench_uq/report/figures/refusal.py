"""What refusing the least sure predictions is worth under stress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from bench_uq.report.figures import panels
from bench_uq.report.figures.images import spread
from bench_uq.report.figures.style import Look, text, tidy
from bench_uq.report.tables.captions import level_name, wrap
from bench_uq.score.analysis import Analysis
from bench_uq.score.stress import Family, kept_accuracy
from bench_uq.score.summaries import Curve

#: Panels in a row: what is not stressed, and levels from the lowest to the highest.
_MOST = 4


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw a figure a family of attacks or shifts: accuracy of what is kept by the share refused, a panel a level."""
    figures = {}
    for one in analysis.families:
        where = _places(one)
        curves = {
            (method, level): kept_accuracy(
                analysis.results, method, None if level is None else one, level
            )
            for method in analysis.methods
            for level in where
        }
        if any(len(curve.x) for (_, level), curve in curves.items() if level):
            figures[one.name] = _figure(analysis, looks, one, where, curves)
    return figures


def _places(one: Family) -> list[float | None]:
    """Return level 0, else clean data, and levels spread over the others."""
    others = [level for level in one.levels if level != 0]
    return [0.0 if 0 in one.levels else None, *spread(others, _MOST - 1)]


def _figure(
    analysis: Analysis,
    looks: Mapping[str, Look],
    one: Family,
    where: Sequence[float | None],
    curves: Mapping[tuple[str, float | None], Curve],
) -> Figure:
    """Draw one family."""
    seeds = {
        name: panels.fewest(curves[name, level] for level in where) for name in analysis.methods
    }
    width = panels.shape(len(where))[2]
    lines = wrap(text(one.title), int(width * 13))
    figure = panels.sheet(
        width, 2.0 + 0.14 * len(lines), panels.method_handles(analysis, seeds, looks)
    )
    figure.suptitle("\n".join(lines), fontsize=8)
    grid = panels.grid(figure, len(where), len(where), "share refused", "accuracy of what is kept")
    for axes, level in zip(grid, where, strict=True):
        axes.set_title("clean" if level is None else f"{level_name(one.name)} = {level:g}")
        for place, method in enumerate(analysis.methods):
            own = curves[method, level]
            axes.plot(
                own.x,
                own.y,
                markevery=panels.every(len(own.x), place),
                **panels.line(looks[method]),
            )
        axes.set(xlim=(-0.02, 0.92), ylim=(-0.02, 1.02))
        tidy(axes)
    return figure
