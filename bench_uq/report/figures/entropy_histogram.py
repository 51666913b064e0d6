"""Histograms of the entropy: a panel per method, clean data filled and other data as lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._style import Options, tidy
from bench_uq.report.looks import Look
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import Curve, Shown, mean_curve

#: Inches of a panel.
_HEIGHT = 1.3
#: Colour always means a method; only the dashes and the grey tell the conditions apart.
_LINES: tuple[Options, ...] = (
    {"color": "#222222", "linestyle": "-"},
    {"color": "#222222", "linestyle": (0, (3, 1.2))},
    {"color": "#777777", "linestyle": "-"},
    {"color": "#222222", "linestyle": (0, (1, 1))},
    {"color": "#777777", "linestyle": "--"},
)


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw the histograms of each method."""
    highest = analysis.highest_entropy
    if highest is None:
        return {}

    conditions = analysis.shown_with("entropy_histogram")[: len(_LINES) + 1]
    letters = _layout.letters_in_title(len(analysis.methods))
    curves, titles = {}, []
    for method in analysis.methods:
        own = []
        for where in conditions:
            own.append(mean_curve(analysis.results, "entropy_histogram", method, where))
        curves[method] = own
        titles.append(_legend.label(analysis, method, _legend.fewest(own), letters))

    names = ("entropy (nats)", "share of examples\n(square-root scale)")
    _, columns, _ = _layout.shape(len(titles))
    sheets = []
    for part in _layout.parts(len(titles), columns, _HEIGHT + 0.14 * _layout.most_lines(titles)):
        handles = _handles(analysis, conditions)
        figure, panels = _layout.panels_of(titles[part], _HEIGHT, handles, names)
        for axes, method in zip(panels, analysis.methods[part], strict=True):
            _overlay(axes, curves[method], looks[method], highest)
        sheets.append(figure)
    return _layout.numbered(sheets)


def _overlay(axes: Axes, curves: Sequence[Curve], look: Look, highest: float) -> None:
    """Draw the histograms of one method, on a scale that shows small shares beside large ones."""
    _layout.mark(axes, highest, "ln C", vertical=True)
    if not any(len(curve.x) for curve in curves):
        _layout.nothing(axes)

    for place, curve in enumerate(curves):
        if not len(curve.x):
            continue

        # The stored points are the middles of bins of one width.
        edges = np.linspace(0, highest, len(curve.x) + 1)
        if place == 0:
            axes.stairs(curve.y, edges, fill=True, color=look.color, alpha=0.45)
        else:
            axes.stairs(curve.y, edges, **_LINES[place - 1], linewidth=0.9)

    # A logarithm would have no place for empty bins. Limits and ticks follow: a scale resets them.
    axes.set_yscale("function", functions=(lambda share: np.sqrt(np.maximum(share, 0)), np.square))
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.05, 0.2, 0.5, 1], labels=["0", "0.05", "0.2", "0.5", "1"])
    tidy(axes)


def _handles(analysis: Analysis, conditions: Sequence[Shown]) -> list[Artist]:
    """A sample of each condition, and notes."""
    first, *others = [_legend.shown_title(analysis, where, 34, ", ") for where in conditions]
    handles: list[Artist] = [Patch(color="#999999", alpha=0.6, label=first)]
    for name, line in zip(others, _LINES, strict=False):
        handles.append(Line2D([], [], **line, label=name))
    handles += _legend.left_out(len(analysis.shown) - len(conditions))
    return handles + _legend.dagger_handle(analysis)
