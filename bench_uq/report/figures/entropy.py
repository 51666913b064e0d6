"""How the entropy of the predictions is spread on clean, unseen and attacked data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bench_uq.report.figures import conditions as conditions_figure
from bench_uq.report.figures import panels
from bench_uq.report.figures.style import Look, Options, tidy
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import Curve, Shown, mean_curve

#: Colour always means a method; what it was shown is told apart by the line alone.
_LINES: tuple[Options, ...] = (
    {"color": "#222222", "linestyle": "-"},
    {"color": "#222222", "linestyle": (0, (3, 1.2))},
    {"color": "#777777", "linestyle": "-"},
    {"color": "#222222", "linestyle": (0, (1, 1))},
    {"color": "#777777", "linestyle": "--"},
)


def histogram(analysis: Analysis, looks: Mapping[str, Look]) -> Figure | None:
    """Draw a small panel a method: the share of examples by entropy, clean data filled and others as lines."""
    highest, conditions = analysis.highest_entropy, analysis.shown[: len(_LINES) + 1]
    if highest is None:
        return None
    methods = analysis.methods
    curves = {
        method: [
            mean_curve(analysis.results, "entropy_histogram", method, where) for where in conditions
        ]
        for method in methods
    }
    rows, columns, width = panels.shape(len(methods))
    letters = int(width / columns * 13)
    titles = [
        panels.label(analysis, name, panels.fewest(curves[name]), letters) for name in methods
    ]
    height = rows * (1.3 + 0.14 * panels.lines_of(titles)) + 0.3
    figure = panels.sheet(width, height, _condition_handles(analysis, conditions))
    grid = panels.grid(
        figure, len(methods), columns, "entropy (nats)", "share of examples\n(square-root scale)"
    )
    for axes, method, title in zip(grid, methods, titles, strict=True):
        axes.set_title(title, pad=10)
        _overlay(axes, curves[method], looks[method], highest)
    return figure


def ecdf(analysis: Analysis, looks: Mapping[str, Look]) -> Figure | None:
    """Draw a panel a condition: the share of examples of at most that entropy, a line a method."""
    highest = analysis.highest_entropy
    if highest is None:
        return None

    def finish(axes: Axes) -> None:
        axes.set_title(axes.get_title(), pad=10)
        panels.mark(axes, highest, "ln C", vertical=True)

    names = ("entropy x (nats)", "share ≤ x")
    return conditions_figure.draw(
        analysis, looks, curve="entropy_ecdf", names=names, finish=finish, common="xy"
    )


def _overlay(axes: Axes, curves: list[Curve], look: Look, highest: float) -> None:
    """Draw the histograms of one method over each other, on a scale that shows small shares beside large ones."""
    panels.mark(axes, highest, "ln C", vertical=True)
    for place, curve in enumerate(curves):
        if not len(curve.x):
            continue
        edges = np.linspace(0, highest, len(curve.x) + 1)
        if place == 0:
            axes.stairs(curve.y, edges, fill=True, color=look.color, alpha=0.45)
        else:
            axes.stairs(curve.y, edges, **_LINES[place - 1], linewidth=0.9)
    if not any(len(curve.x) for curve in curves):
        panels.nothing(axes)
    axes.set_yscale("function", functions=(lambda share: np.sqrt(np.maximum(share, 0)), np.square))
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.05, 0.2, 0.5, 1], labels=["0", "0.05", "0.2", "0.5", "1"])
    tidy(axes)


def _condition_handles(analysis: Analysis, conditions: list[Shown]) -> list[Artist]:
    """Return a sample of each condition, what a dagger means, and how many conditions are left out."""
    names = [panels.shown_title(where, 34, ", ") for where in conditions]
    handles: list[Artist] = [Patch(color="#999999", alpha=0.6, label=names[0])]
    handles += [
        Line2D([], [], **line, label=name) for name, line in zip(names[1:], _LINES, strict=False)
    ]
    return [
        *handles,
        *panels.left_out(len(analysis.shown) - len(conditions)),
        *panels.dagger_handle(analysis),
    ]
