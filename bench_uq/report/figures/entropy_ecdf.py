"""Share of examples of at most an entropy: a panel per condition, a line per method."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench_uq.report.figures import _layout, _per_condition
from bench_uq.report.looks import Look
from bench_uq.score.analysis import Analysis


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw the distribution function of the entropy."""
    highest = analysis.highest_entropy
    if highest is None:
        return {}

    def finish(axes: Axes) -> None:
        _layout.mark(axes, highest, "ln C", vertical=True)

    names = ("entropy x (nats)", "share ≤ x")
    return _per_condition.draw(analysis, looks, "entropy_ecdf", names, finish, common="xy")
