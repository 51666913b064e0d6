"""How often each method is right, against how sure it is."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench_uq.report.figures import panels
from bench_uq.report.figures.style import Look, Options, tidy
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import Place, Summary, reliability

#: Bins with a smaller share of the examples are drawn hollow, because chance rules them.
_FEW = 0.01
_TICKS = (0, 0.5, 1)
#: How much higher the upper panel of a method is than the lower, and how high a sheet may be in inches.
_UPPER, _PAGE_HEIGHT = 4, 9.4
_DIAGONAL: Options = {"color": "#666666", "linestyle": (0, (2, 2)), "linewidth": 0.7}


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> Figure | None:
    """Draw a small panel a method: accuracy by confidence on clean data, and beneath it how often each occurs."""
    if not analysis.results.curves["curve"].eq("reliability_share").any():
        return None
    methods, scores = analysis.methods, analysis.summaries
    rows, columns, width = panels.shape(len(methods))
    found = {method: reliability(analysis.results, method) for method in methods}
    highest = (
        math.ceil(
            10 * max((bins["share"].max() for bins, _ in found.values() if len(bins)), default=1)
        )
        / 10
    )
    letters = int(width / columns * 13)
    titles = [
        "\n".join([panels.label(analysis, method, seeds, letters), *_ece(scores, method)])
        for method, (_, seeds) in found.items()
    ]
    height = rows * (1.75 + 0.14 * panels.lines_of(titles)) + 0.1
    figure = panels.sheet(width, height, [*_handles(), *panels.dagger_handle(analysis)])
    grid = figure.add_gridspec(2 * rows, columns, height_ratios=[_UPPER, 1] * rows)
    for place, (method, title) in enumerate(zip(methods, titles, strict=True)):
        row, column = divmod(place, columns)
        upper, lower = (
            figure.add_subplot(
                grid[2 * row + part, column], xlim=(0, 1), ylim=(0, top), xticks=_TICKS
            )
            for part, top in enumerate((1, highest))
        )
        upper.set_title(title)
        _bins(upper, found[method][0], looks[method])
        _shares(lower, found[method][0], looks[method])
        panels.edge(upper, panels.sides(place, len(methods), columns), "", "accuracy")
        upper.tick_params(labelbottom=False)
        panels.edge(lower, panels.sides(place, len(methods), columns), "confidence", "share")
    _square(figure, rows)
    return figure


def _square(figure: Figure, rows: int) -> None:
    """Make a sheet as high as lets its upper panels be square, so that the diagonal is at 45 degrees, or as a page."""
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.execute(figure)
    panel = figure.axes[0].get_position()
    missing = panel.width * figure.get_figwidth() - panel.height * figure.get_figheight()
    height = figure.get_figheight() + missing * rows * (1 + 1 / _UPPER)
    # Rounded: the solver's last digits differ from run to run.
    figure.set_figheight(round(min(height, max(_PAGE_HEIGHT, figure.get_figheight())), 2))


def _bins(axes: Axes, bins: pd.DataFrame, look: Look) -> None:
    """Draw the accuracy of each bin of confidence against the diagonal, bins of few examples hollow."""
    axes.set_yticks(_TICKS)
    tidy(axes)
    if bins.empty:
        panels.nothing(axes)
        return
    axes.plot([0, 1], [0, 1], **_DIAGONAL)
    line: Options = {
        **panels.line(look),
        "markeredgecolor": look.color,
        "linewidth": 0.8,
        "clip_on": False,
    }
    axes.plot(bins["confidence"], bins["accuracy"], **line)
    few = bins[bins["share"] < _FEW]
    if not few.empty:  # an empty line that is not clipped counts as lying at the figure's corner
        hollow = {**line, "linestyle": "none", "markerfacecolor": "white"}
        axes.plot(few["confidence"], few["accuracy"], **hollow)


def _shares(axes: Axes, bins: pd.DataFrame, look: Look) -> None:
    """Draw which share of the examples falls into each bin of confidence."""
    axes.set_yticks(axes.get_ylim(), labels=[f"{share:g}" for share in axes.get_ylim()])
    tidy(axes)
    centres = bins.index.to_numpy(float)
    width = float(np.diff(centres).min()) if len(centres) > 1 else 1 / 15
    axes.bar(centres, bins["share"], width=0.9 * width, color=look.color, alpha=0.7)


def _handles() -> list[Artist]:
    """Return samples of what the panels hold, in no method's colour."""
    point: Options = {"linestyle": "none", "marker": "o", "color": "#666666"}
    return [
        Line2D([], [], **_DIAGONAL, label="perfect calibration"),
        Line2D([], [], **point, label="bin of confidence"),
        Line2D([], [], **point, markerfacecolor="white", label=f"under {_FEW:.0%} of examples"),
        Line2D([], [], linestyle="none", label="cal.: ECE of a calibrated model"),
    ]


def _ece(scores: Mapping[Place, Summary], method: str) -> list[str]:
    """Return the line that tells the ECE, always with that of a calibrated model beside it."""
    found = scores.get((method, "clean", None, "ece"))
    calibrated = scores.get((method, "clean", None, "ece_if_calibrated"))
    if found is None:
        return []
    return [f"ECE {found.mean:.3f}, cal. {f'{calibrated.mean:.3f}' if calibrated else '–'}"]
