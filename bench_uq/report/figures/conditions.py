"""A panel for each thing that the methods were shown, in it a curve of each method."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench_uq.report.figures import panels
from bench_uq.report.figures.style import Look, tidy
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import Shown, mean_curve

#: As many panels as a page holds beside the legend.
_MOST = 12


def draw(
    analysis: Analysis,
    looks: Mapping[str, Look],
    *,
    curve: str,
    names: tuple[str, str],
    finish: Callable[[Axes], None],
    common: str = "x",
) -> Figure | None:
    """Draw one curve of all methods in every condition that has it; names of x and y, and which of them are common."""
    stored = analysis.results.curves[analysis.results.curves["curve"] == curve]
    measured = set(stored["condition"].unique())
    conditions = [where for where in analysis.shown if where[0] in measured]
    drawn = conditions[:_MOST]
    if not drawn:
        return None
    found = {
        (method, where): mean_curve(analysis.results, curve, method, where)
        for method in analysis.methods
        for where in drawn
    }
    seeds = {
        name: panels.fewest(found[name, where] for where in drawn) for name in analysis.methods
    }
    handles = [
        *panels.method_handles(analysis, seeds, looks),
        *panels.left_out(len(conditions) - len(drawn)),
    ]
    figure, grid = _panels(drawn, handles, names, common=common)
    for axes, where in zip(grid, drawn, strict=True):
        for place, method in enumerate(analysis.methods):
            own = found[method, where]
            axes.plot(
                own.x,
                own.y,
                markevery=panels.every(len(own.x), place),
                **panels.line(looks[method]),
            )
        finish(axes)
        tidy(axes)
    return figure


def _panels(
    drawn: list[Shown], handles: list[Artist], names: tuple[str, str], *, common: str
) -> tuple[Figure, list[Axes]]:
    """Return a sheet of panels with their titles."""
    rows, columns, width = panels.shape(len(drawn))
    titles = [panels.shown_title(where, int(width / columns * 13)) for where in drawn]
    figure = panels.sheet(width, rows * (1.5 + 0.14 * panels.lines_of(titles)) + 0.3, handles)
    grid = panels.grid(figure, len(drawn), columns, *names, common=common)
    for axes, title in zip(grid, titles, strict=True):
        axes.set_title(title)
    return figure, grid
