"""How accuracy, calibration and uncertainty change with the level of an attack or shift."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench_uq.report.figures import panels
from bench_uq.report.figures.style import PAGE, Look, Options, text, tidy
from bench_uq.report.tables.captions import level_name, wrap
from bench_uq.report.tables.tables import LEVEL_AXES
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import (
    Place,
    Summary,
)

_CALIBRATED = "ece_if_calibrated"
_KNOWN: Options = {"color": "#666666", "linestyle": (0, (2, 2)), "linewidth": 0.7, "zorder": 1}
_COLUMNS = 3


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw a figure a condition with levels: a panel a score, means as lines and the range over the seeds as bands.

    Of several kinds of one thing also their mean.
    """
    several = {one.title: f"{one.name}-mean" for one in analysis.families if len(one.members) > 1}
    averaged = analysis.over_kinds
    ends = {condition: condition for condition in analysis.levels} | several
    figures = {}
    for condition, end in ends.items():
        own = averaged if condition in several else analysis
        measured = {metric for _, name, _, metric in own.summaries if name == condition}
        metrics = [metric for metric in LEVEL_AXES if metric in measured]
        if metrics:
            figures[end] = _figure(own, looks, condition, own.levels[condition], metrics)
    return figures


def _figure(
    analysis: Analysis,
    looks: Mapping[str, Look],
    condition: str,
    values: list[float],
    metrics: Sequence[str],
) -> Figure:
    """Draw one condition."""
    methods, summaries = analysis.methods_shown([condition]), analysis.summaries
    seeds = {method: _fewest(summaries, method, condition, metrics) for method in methods}
    calibrated = _calibrated(summaries, condition, values) if "ece" in metrics else []
    drawn = (
        summaries.get((name, condition, at, metric))
        for name in methods
        for at in values
        for metric in metrics
    )
    spread = panels.range_handle("band" if len(values) > 1 else "whiskers", filter(None, drawn))
    handles = [
        *panels.method_handles(analysis, seeds, looks),
        *spread,
        *_calibrated_handle(calibrated),
    ]
    rows = math.ceil(len(metrics) / _COLUMNS)
    figure = panels.sheet(PAGE, 1.85 * rows + 0.3, handles)
    grid = [
        figure.add_subplot(rows, min(len(metrics), _COLUMNS), place + 1)
        for place in range(len(metrics))
    ]
    for place, (axes, metric) in enumerate(zip(grid, metrics, strict=True)):
        found = {
            name: [summaries.get((name, condition, level, metric)) for level in values]
            for name in methods
        }
        _lines(axes, values, found, looks)
        _scale(axes, metric, found)
        if metric == "ece" and calibrated:
            axes.plot(values, calibrated, **_KNOWN)
        _bounds(axes, metric, analysis.highest_entropy)
        lowest, _ = panels.sides(place, len(metrics), _COLUMNS)
        axes.tick_params(labelbottom=lowest)
        axes.set_xlabel(
            "\n".join(wrap(f"{level_name(condition)} of {text(condition)}", 32)) if lowest else ""
        )
        axes.set_ylabel(LEVEL_AXES[metric])
    return figure


def _lines(
    axes: Axes,
    values: list[float],
    found: Mapping[str, Sequence[Summary | None]],
    looks: Mapping[str, Look],
) -> None:
    """Draw the means of each method by level, gaps where there is none, and the range over its seeds as a band."""
    for place, (method, summaries) in enumerate(found.items()):
        table = np.array(
            [(one.mean, one.low, one.high) if one else (math.nan,) * 3 for one in summaries]
        )
        mean, low, high = np.where(np.isfinite(table), table, math.nan).T
        # At a single level the methods stand side by side.
        x = (
            np.array(values)
            if len(values) > 1
            else values[0] + np.array([place - (len(found) - 1) / 2])
        )
        axes.plot(
            x, mean, markevery=panels.every(len(x), place, marks=12), **panels.line(looks[method])
        )
        if len(values) == 1:
            axes.vlines(x, low, high, color=looks[method].color, linewidth=0.8)
        elif (low < high).any():
            axes.fill_between(x, low, high, color=looks[method].color, alpha=0.15, linewidth=0)
    if len(values) == 1:
        axes.set_xlim(values[0] - len(found), values[0] + len(found))
        axes.set_xticks(values)
    else:  # all of the levels, also where a score has some alone: only the lowest panels name them
        room = 0.05 * (values[-1] - values[0])
        axes.set_xlim(values[0] - room, values[-1] + room)


def _scale(axes: Axes, metric: str, found: Mapping[str, Sequence[Summary | None]]) -> None:
    """Make the axis of likelihoods logarithmic, and say where nothing lies on it."""
    ends = [
        end
        for own in found.values()
        for one in own
        if one
        for end in (one.low, one.high)
        if math.isfinite(end)
    ]
    if not ends:
        panels.nothing(axes, "no finite value")
    elif metric == "nll":
        panels.logarithmic(axes, ends)


def _bounds(axes: Axes, metric: str, highest: float | None) -> None:
    """Show the whole range of a score where it is known, and mark what is known of it."""
    tidy(axes)
    marks = dict.fromkeys(("auroc_entropy", "auroc_errors_entropy"), (0.5, "chance"))
    if highest is not None:
        marks |= dict.fromkeys(("accuracy", "accuracy_kept_80"), (math.exp(-highest), "1/C"))
        marks |= dict.fromkeys(("entropy", "entropy_wrong"), (highest, "ln C"))
    nearly_none = (-0.03 * axes.get_ylim()[1], None)  # a mark at zero is seen whole
    below_chance = (min(0.48, axes.get_ylim()[0]), 1.02)
    limits: dict[str, tuple[float | None, float | None]] = {
        "ece": nearly_none,
        "epistemic": nearly_none,
    }
    limits |= dict.fromkeys(("accuracy", "accuracy_kept_80"), (-0.02, 1.02))
    limits |= dict.fromkeys(("auroc_entropy", "auroc_errors_entropy"), below_chance)
    if highest is not None:
        limits |= dict.fromkeys(("entropy", "entropy_wrong"), (-0.02 * highest, 1.04 * highest))
    axes.set_ylim(*limits.get(metric, (None, None)))
    if metric in marks:
        panels.mark(axes, *marks[metric], vertical=False)


def _fewest(
    summaries: Mapping[Place, Summary], method: str, condition: str, metrics: Sequence[str]
) -> int:
    """Return the fewest seeds that a point of a method rests on; a point that is not there is seen to be missing."""
    counts = (
        summary.seeds
        for (name, where, _, metric), summary in summaries.items()
        if name == method and where == condition and metric in metrics
    )
    return min(counts, default=0)


def _calibrated(
    summaries: Mapping[Place, Summary], condition: str, values: list[float]
) -> list[float]:
    """Return the highest ECE that one of the methods would show if calibrated, by level; empty where none is known."""
    known = [
        [
            summary.mean
            for (_, where, at, metric), summary in summaries.items()
            if (where, at, metric) == (condition, level, _CALIBRATED)
        ]
        for level in values
    ]
    return [max(means, default=math.nan) for means in known] if any(known) else []


def _calibrated_handle(calibrated: Sequence[float]) -> list[Artist]:
    """Return the entry of a legend that explains the broken line beneath the ECE."""
    return [Line2D([], [], **_KNOWN, label="ECE if calibrated (highest)")] if calibrated else []
