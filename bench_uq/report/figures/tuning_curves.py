"""The expected lowest validation NLL by the number of trials of a study."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._style import text, tidy
from bench_uq.report.looks import Look
from bench_uq.report.tables.captions import wrap
from bench_uq.score.analysis import Analysis
from bench_uq.score.tuning import LOST, BestCurve


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw the mean over the studies of each method, and their range as a band."""
    curves = {one.method: one.best_curve() for one in analysis.tuning}
    own = {one.method: looks[one.name] for one in analysis.tuning}
    if not any(np.isfinite(curve.mean).any() for curve in curves.values()):
        return {}

    several = any(len(one.studies) > 1 for one in analysis.tuning)
    width = _layout.width(fits=len(own) <= 6)
    figure = _layout.sheet(width, 2.3, _handles(analysis, curves, own, several=several))
    axes = figure.subplots()

    values, most = list[float](), 1
    for place, (method, curve) in enumerate(curves.items()):
        # A hole stands where no expectation is given, not a line that leaves the panel.
        finite = np.isfinite(curve.mean)
        x, y = curve.trials[finite], curve.mean[finite]
        low, high = curve.low[finite], curve.high[finite]
        marks = _legend.every(len(x), place, marks=12)
        axes.plot(x, y, markevery=marks, **_legend.line(own[method]))
        if several:
            axes.fill_between(x, low, high, color=own[method].color, alpha=0.15, linewidth=0)
        values += [*low, *high]
        most = max(most, *curve.trials)

    _layout.logarithmic(axes, values)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    # From one trial on, so that a line that begins later is seen to do so.
    axes.set_xlim(1 - 0.05 * most, 1.05 * most)
    axes.set(xlabel="trials in a study", ylabel="expected lowest\nvalidation NLL (nats)")
    tidy(axes)
    return {"": figure}


def _handles(
    analysis: Analysis,
    curves: Mapping[str, BestCurve],
    looks: Mapping[str, Look],
    *,
    several: bool,
) -> list[Artist]:
    """The methods, the band, and why a line begins later."""
    handles: list[Artist] = []
    for method, look in looks.items():
        name = "\n".join(wrap(text(analysis.label(method)), 24))
        handles.append(Line2D([], [], label=name, **_legend.line(look)))

    if several:
        label = "band: range over studies"
        handles.append(Patch(color="#666666", alpha=0.3, linewidth=0, label=label))
    if not all(np.isfinite(curve.mean).all() for curve in curves.values()):
        said = f"no line: more than {LOST:.0%} of studies\nwould find nothing finite"
        handles.append(_legend.words(said))
    return handles
