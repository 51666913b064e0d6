"""Predictions over a single feature: mean and bands inside and outside the training inputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._style import Options, tidy
from bench_uq.report.looks import Look
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import band_seed, curve_table

#: Opacity of the bands of one and of two standard deviations; the first lies on the second.
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

#: Mean, standard deviation, test targets and training targets of a method by input.
Bands = Mapping[str, pd.Series]


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw a panel per method, of the first of the seeds that most methods finished."""
    # No mean over seeds: they may differ in their examples.
    seed = band_seed(analysis.results)
    if seed is None:
        return {}

    letters = _layout.letters_in_title(len(analysis.methods))
    bands, titles = {}, []
    for method in analysis.methods:
        bands[method] = _bands(analysis, method, seed)
        planned = analysis.seeds(method).planned
        titles.append(_legend.label(analysis, method, planned, letters))

    handles = [*_handles(seed), *_legend.dagger_handle(analysis)]
    figure, panels = _layout.panels_of(titles, 1.5, handles, ("input x", "target y"))

    for axes, (method, own) in zip(panels, bands.items(), strict=True):
        if own["mean"].empty:
            _layout.nothing(axes, f"seed {seed} did not finish")
        else:
            _panel(axes, own, looks[method])
        tidy(axes)
    _limits(panels[0], list(bands.values()))
    return {"": figure}


def _bands(analysis: Analysis, method: str, seed: int) -> Bands:
    """The bands of a method, each part empty if it is not stored."""
    found = {}
    for part, name, condition in (
        ("mean", "regression_mean", "clean"),
        ("std", "regression_std", "clean"),
        ("target", "regression_target", "clean"),
        ("trained_on", "regression_target", "train"),
    ):
        table = curve_table(analysis.results, name, method, (condition, None))
        # Seeds have training inputs of their own: at those of other seeds this one has no value.
        found[part] = table.get(seed, pd.Series(dtype=float)).dropna()
    return found


def _panel(axes: Axes, bands: Bands, look: Look) -> None:
    """Draw the bands and mean of one method over the targets."""
    mean, std = bands["mean"], bands["std"].reindex(bands["mean"].index)
    x = mean.index.to_numpy(float)
    for times, alpha in _ALPHAS.items():
        low, high = mean - times * std, mean + times * std
        axes.fill_between(x, low, high, color=look.color, alpha=alpha, linewidth=0)
    axes.plot(x, mean, color=look.color)
    axes.plot(bands["target"].index, bands["target"], **_TEST)

    points = bands["trained_on"]
    if len(points):
        axes.plot(points.index, points, **_TRAINED_ON)
        axes.axvspan(x.min(), points.index.min(), **_OUTSIDE)
        axes.axvspan(points.index.max(), x.max(), **_OUTSIDE)


def _limits(axes: Axes, bands: list[Bands]) -> None:
    """Show all targets, and the bands near them, on the axes that all panels share."""
    shown: list[pd.Series] = []
    means: list[pd.Series] = []
    inputs: list[np.ndarray] = []
    for own in bands:
        shown += [own["target"], own["trained_on"]]
        means.append(own["mean"])
        inputs.append(own["mean"].index.to_numpy(float))

    # Imported predictions may come without targets.
    if all(series.empty for series in shown):
        shown = means

    values = np.concatenate(shown)
    low, high = values.min(), values.max()
    # Where all targets are the same there is no range to take a share of.
    room = _ROOM * (high - low) or 1.0
    axes.set_ylim(low - room, high + room)

    x = np.concatenate(inputs)
    if x.min() < x.max():
        axes.set_xlim(x.min(), x.max())


def _handles(seed: int) -> list[Artist]:
    """A sample of everything in a panel."""
    grey = "#555555"
    # The opacity of two bands on each other, as they lie in the panels.
    both = 1 - (1 - _ALPHAS[1]) * (1 - _ALPHAS[2])
    return [
        Line2D([], [], color=grey, label="mean"),
        Patch(color=grey, alpha=both, linewidth=0, label="± 1 standard deviation"),
        Patch(color=grey, alpha=_ALPHAS[2], linewidth=0, label="± 2 standard deviations"),
        Line2D([], [], **_TRAINED_ON, label=f"training targets (seed {seed})"),
        Line2D([], [], **_TEST, label="test targets"),
        Patch(**_OUTSIDE, label="outside the training inputs"),
    ]
