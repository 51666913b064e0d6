"""How right the predictions are that a method is most sure of."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench_uq.report.figures import conditions as conditions_figure
from bench_uq.report.figures import panels
from bench_uq.report.figures.style import Look
from bench_uq.score.analysis import Analysis

#: The share of its error rate at full coverage beneath which a method counts as making no errors.
_FEW = 0.05


def risk_coverage(analysis: Analysis, looks: Mapping[str, Look]) -> Figure | None:
    """Draw a panel a condition: the error rate among the most confident share of the examples, a line a method."""
    names = ("coverage", "error rate of covered")
    return conditions_figure.draw(
        analysis, looks, curve="risk_coverage", names=names, finish=_error_rates, common=""
    )


def accuracy_confidence(analysis: Analysis, looks: Mapping[str, Look]) -> Figure | None:
    """Draw a panel a condition: the accuracy of the examples of at least that confidence, a line a method."""
    names = ("confidence threshold", "accuracy above it")
    return conditions_figure.draw(
        analysis, looks, curve="accuracy_confidence", names=names, finish=_accuracies
    )


def _error_rates(axes: Axes) -> None:
    """Show the coverage from where errors begin, and no errors at all unless that is far away."""
    start = _first_errors(axes)
    for place, line in enumerate(axes.lines if start else ()):
        seen = np.flatnonzero(np.asarray(line.get_xdata(), float) >= start)
        offset, step = panels.every(len(seen), place, marks=3)
        line.set_markevery((int(seen[0]) + offset, step) if len(seen) else None)
    room = 0.02 * (1 - start)
    axes.set_xlim(start - room, 1 + room)
    axes.xaxis.set_major_locator(MaxNLocator(5 if start else 4, steps=[1, 2, 2.5, 5, 10]))
    low, high = axes.get_ylim()
    axes.set_ylim(bottom=-0.02 * high if low < high / 2 else low)


def _first_errors(axes: Axes) -> float:
    """Return the coverage beneath which all methods make few errors, 0 unless that is at least half of it."""
    starts: list[float] = []
    for line in axes.lines:
        x, y = (np.asarray(values, float) for values in line.get_data())
        starts.extend(x[y > _FEW * y[-1]][:1] if len(y) else ())
    start = min(0.9, math.floor(min(starts, default=0) * 10) / 10)
    return start if start >= 0.5 else 0.0


def _accuracies(axes: Axes) -> None:
    """Show every confidence there may be, and of accuracies what there is."""
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(top=min(1.02, axes.get_ylim()[1]))
