"""Accuracy of the examples of at least a confidence: a panel per condition."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench_uq.report.figures import _per_condition
from bench_uq.report.looks import Look
from bench_uq.score.analysis import Analysis


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw the accuracy above each threshold of confidence."""
    names = ("confidence threshold", "accuracy above it")
    return _per_condition.draw(analysis, looks, "accuracy_confidence", names, _limits)


def _limits(axes: Axes) -> None:
    """Show every possible confidence, and the accuracies that occur."""
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(top=min(1.02, axes.get_ylim()[1]))
