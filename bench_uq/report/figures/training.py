"""Loss and KL term by epoch of training."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._style import tidy
from bench_uq.report.looks import Look
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import Curve, mean_curve

_TITLES = {
    "training_loss": "training loss (nats per example)",
    "training_kl": "KL / N (nats per example)",
}


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw loss and KL/N as far as all seeds of a method trained."""
    methods = analysis.methods_shown(["train"])
    curves: dict[str, dict[str, Curve]] = {}
    for name in _TITLES:
        curves[name] = {}
        for method in methods:
            curve = mean_curve(analysis.results, name, method, ("train", None))
            curves[name][method] = curve

    drawn = [name for name, own in curves.items() if any(map(_is_positive, own.values()))]
    if not drawn:
        return {}

    seeds = {method: curve.seeds for method, curve in curves["training_loss"].items()}
    width = _layout.width(fits=len(drawn) == 1 and len(methods) <= 6)
    columns = _layout.side_by_side(len(drawn))
    rows = math.ceil(len(drawn) / columns)
    figure = _layout.sheet(width, 2.3 * rows, _legend.method_handles(analysis, seeds, looks))
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)

    for axes, name in zip(panels, drawn, strict=True):
        values: list[float] = []
        for place, (method, curve) in enumerate(curves[name].items()):
            # A method without a KL term stores zeros, for which a logarithmic axis has no place.
            if name == "training_kl" and not _is_positive(curve):
                continue
            _legend.draw_curve(axes, curve, place, looks[method])
            values.extend(curve.y[~np.isnan(curve.y)])

        _layout.logarithmic(axes, values)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epoch")
        axes.set_ylabel(_TITLES[name])
        tidy(axes)
    return {"": figure}


def _is_positive(curve: Curve) -> bool:
    """Whether a curve is above 0 somewhere."""
    return bool((curve.y > 0).any())
