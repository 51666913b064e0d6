"""How the loss and its KL term fell during training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench_uq.report.figures import panels
from bench_uq.report.figures.style import COLUMN, PAGE, Look, tidy
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import mean_curve

_TITLES = {
    "training_loss": "training loss (nats per example)",
    "training_kl": "KL / N (nats per example)",
}


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> Figure | None:
    """Draw loss and KL/N by epoch, as far as all seeds of a method trained; a method without a KL has no line there."""
    methods = analysis.methods_shown(["train"])
    curves = {
        (name, method): mean_curve(analysis.results, name, method, ("train", None))
        for name in _TITLES
        for method in methods
    }
    drawn = [
        name for name in _TITLES if any((curves[name, method].y > 0).any() for method in methods)
    ]
    if not drawn:
        return None
    seeds = {method: curves["training_loss", method].seeds for method in methods}
    small = len(drawn) == 1 and len(methods) <= 6
    figure = panels.sheet(
        COLUMN if small else PAGE, 2.3, panels.method_handles(analysis, seeds, looks)
    )
    for axes, name in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
        values: list[float] = []
        for place, method in enumerate(methods):
            curve = curves[name, method]
            if name == "training_kl" and not (curve.y > 0).any():
                continue
            axes.plot(
                curve.x,
                curve.y,
                markevery=panels.every(len(curve.x), place),
                **panels.line(looks[method]),
            )
            values.extend(curve.y[~np.isnan(curve.y)])
        panels.logarithmic(axes, values)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epoch")
        axes.set_ylabel(_TITLES[name])
        tidy(axes)
    return figure
