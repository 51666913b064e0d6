"""Error rate of the most confident share of the examples: a panel per condition."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench_uq.report.figures import _legend, _per_condition
from bench_uq.report.looks import Look
from bench_uq.score.analysis import Analysis

#: Below this share of its error rate at full coverage a method counts as making no errors.
_FEW = 0.05


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw the risk-coverage curves."""
    names = ("coverage", "error rate of covered")
    return _per_condition.draw(analysis, looks, "risk_coverage", names, _show_errors, common="")


def _show_errors(axes: Axes) -> None:
    """Show the coverage from the first errors on, and zero unless it is far away."""
    # Methods with few errors differ only there; below it all curves lie on the axis.
    start = _first_errors(axes)
    for place, line in enumerate(axes.lines if start else ()):
        seen = np.flatnonzero(np.asarray(line.get_xdata(), float) >= start)
        offset, step = _legend.every(len(seen), place, marks=3)
        line.set_markevery((int(seen[0]) + offset, step) if len(seen) else None)

    room = 0.02 * (1 - start)
    axes.set_xlim(start - room, 1 + room)
    axes.xaxis.set_major_locator(MaxNLocator(5 if start else 4, steps=[1, 2, 2.5, 5, 10]))

    # Where all methods make many errors, an axis from zero would press their curves together.
    low, high = axes.get_ylim()
    if low < high / 2:
        axes.set_ylim(bottom=-0.02 * high)


def _first_errors(axes: Axes) -> float:
    """The coverage below which all methods make few errors; 0 if it is less than a half."""
    starts: list[float] = []
    for line in axes.lines:
        x, y = np.asarray(line.get_data(), float)
        if len(y):
            starts.extend(x[y > _FEW * y[-1]][:1])

    # A round number, which the axis can show.
    start = min(0.9, math.floor(min(starts, default=0) * 10) / 10)
    return start if start >= 0.5 else 0.0
