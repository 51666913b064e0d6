"""How right the predictions are that a method is most sure of."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench_uq.report import conditions_figure
from bench_uq.report.frames import Results
from bench_uq.report.style import Look


def risk_coverage(results: Results, looks: Mapping[str, Look]) -> Figure | None:
    """Draw a panel a condition: the error rate among the most confident share of the examples, a line a method."""
    names = ("coverage", "error rate of covered")
    return conditions_figure.draw(results, looks, curve="risk_coverage", names=names, finish=_error_rates)


def accuracy_confidence(results: Results, looks: Mapping[str, Look]) -> Figure | None:
    """Draw a panel a condition: the accuracy of the examples of at least that confidence, a line a method."""
    names = ("confidence threshold", "accuracy above it")
    return conditions_figure.draw(results, looks, curve="accuracy_confidence", names=names, finish=_accuracies)


def _error_rates(axes: Axes) -> None:
    """Show all of the coverage, and no errors at all unless that is far away."""
    axes.set_xlim(-0.02, 1.02)
    low, high = axes.get_ylim()
    axes.set_ylim(bottom=-0.02 * high if low < high / 2 else low)


def _accuracies(axes: Axes) -> None:
    """Show every confidence there may be, and of accuracies what there is."""
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(top=min(1.02, axes.get_ylim()[1]))
