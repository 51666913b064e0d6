"""What each method predicts over a single feature, and how sure it is, inside and outside of its training inputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bench_uq.report.figures import panels
from bench_uq.report.figures.style import Look, Options, tidy
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import Shown, band_seed, curve_table

#: How dark the bands of one and of two standard deviations are; the first lies on the second.
_ALPHAS = {2: 0.2, 1: 0.3}
_TEST: Options = {"color": "#555555", "linestyle": (0, (2, 1.5)), "linewidth": 0.8, "zorder": 3}
_TRAINED_ON: Options = {
    "linestyle": "none",
    "marker": "o",
    "color": "#222222",
    "markersize": 3.2,
    "markeredgecolor": "white",
    "zorder": 4,
}
_OUTSIDE: Options = {"color": "#f1f1f1", "linewidth": 0, "zorder": 0}
#: The y axis goes this far beyond the targets, as a share of their range: bands may be far wider.
_ROOM = 0.15


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> Figure | None:
    """Draw a small panel a method: mean and bands of the predictive distribution by input, of one seed.

    Seeds may differ in their examples, hence no mean over them: it is the first of those that most methods finished.
    """
    seed = band_seed(analysis.results)
    if seed is None:
        return None
    methods = analysis.methods
    rows, columns, width = panels.shape(len(methods))
    letters = int(width / columns * 13)
    titles = [
        panels.label(analysis, name, analysis.seeds(name).planned, letters) for name in methods
    ]
    curves = {method: _curves(analysis, method, seed) for method in methods}
    height = rows * (1.5 + 0.14 * panels.lines_of(titles)) + 0.3
    figure = panels.sheet(width, height, [*_handles(seed), *panels.dagger_handle(analysis)])
    grid = panels.grid(figure, len(methods), columns, "input x", "target y")
    for axes, method, title in zip(grid, methods, titles, strict=True):
        axes.set_title(title)
        if curves[method]["mean"].empty:
            panels.nothing(axes, f"seed {seed} did not finish")
        else:
            _panel(axes, curves[method], looks[method])
        tidy(axes)
    _limits(grid[0], curves)
    return figure


def _curves(analysis: Analysis, method: str, seed: int) -> dict[str, pd.Series]:
    """Return mean, standard deviation and test targets by input, and what was trained on; empty where not stored."""
    places: dict[str, tuple[str, Shown]] = {
        "mean": ("regression_mean", ("clean", None)),
        "std": ("regression_std", ("clean", None)),
        "target": ("regression_target", ("clean", None)),
        "trained_on": ("regression_target", ("train", None)),
    }
    tables = {
        part: curve_table(analysis.results, name, method, where)
        for part, (name, where) in places.items()
    }
    return {
        part: table[seed].dropna() if seed in table else pd.Series(dtype=float)
        for part, table in tables.items()
    }


def _panel(axes: Axes, curves: Mapping[str, pd.Series], look: Look) -> None:
    """Draw bands and mean of one method over the test targets, and what it was trained on."""
    mean, std = curves["mean"], curves["std"].reindex(curves["mean"].index)
    x = mean.index.to_numpy(float)
    for times, alpha in _ALPHAS.items():
        axes.fill_between(
            x, mean - times * std, mean + times * std, color=look.color, alpha=alpha, linewidth=0
        )
    axes.plot(x, mean, color=look.color)
    axes.plot(curves["target"].index, curves["target"], **_TEST)
    points = curves["trained_on"]
    if len(points):
        axes.plot(points.index, points, **_TRAINED_ON)
        axes.axvspan(x.min(), points.index.min(), **_OUTSIDE)
        axes.axvspan(points.index.max(), x.max(), **_OUTSIDE)


def _limits(axes: Axes, curves: Mapping[str, Mapping[str, pd.Series]]) -> None:
    """Show all targets, and what of the bands lies near them, on the axes that all panels share."""
    found = [
        own[part] for own in curves.values() for part in ("target", "trained_on") if len(own[part])
    ]
    found = found or [own["mean"] for own in curves.values() if len(own["mean"])]
    low, high = min(values.min() for values in found), max(values.max() for values in found)
    room = _ROOM * (high - low) or 1.0
    axes.set_ylim(low - room, high + room)
    inputs = np.concatenate([own["mean"].index.to_numpy(float) for own in curves.values()])
    if inputs.min() < inputs.max():
        axes.set_xlim(inputs.min(), inputs.max())


def _handles(seed: int) -> list[Artist]:
    """Return a sample of everything in a panel."""
    grey = "#555555"
    both = 1 - (1 - _ALPHAS[1]) * (1 - _ALPHAS[2])
    return [
        Line2D([], [], color=grey, label="mean"),
        Patch(color=grey, alpha=both, linewidth=0, label="± 1 standard deviation"),
        Patch(color=grey, alpha=_ALPHAS[2], linewidth=0, label="± 2 standard deviations"),
        Line2D([], [], **_TRAINED_ON, label=f"trained on (seed {seed})"),
        Line2D([], [], **_TEST, label="test targets"),
        Patch(**_OUTSIDE, label="beyond the training inputs"),
    ]
