"""How accuracy and entropy change with the level of an attack or shift."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench_uq.report import panels
from bench_uq.report.captions import level_name, wrap
from bench_uq.report.frames import Results
from bench_uq.report.style import PAGE, Look, text, tidy
from bench_uq.report.summaries import Place, Summary, highest_entropy, levels, methods_shown, summarise
from bench_uq.report.tables import LEVELLED

_TITLES = {"accuracy": "accuracy", "entropy": "mean entropy (nats)"}


def draw(results: Results, looks: Mapping[str, Look]) -> Figure | None:
    """Draw a row a condition with levels: accuracy and mean entropy, with the range over the seeds as a band."""
    summaries = summarise(results)
    measured = {(condition, metric) for _, condition, _, metric in summaries}
    conditions = {
        name: values
        for name, values in levels(results).items()
        if any((name, metric) in measured for metric in LEVELLED)
    }
    if not conditions:
        return None
    methods = methods_shown(results, conditions)
    seeds = {method: _fewest(summaries, method, conditions) for method in methods}
    handles = panels.method_handles(results, seeds, looks)
    figure = panels.sheet(PAGE, 2.1 * len(conditions) + 0.1, handles)
    grid = figure.subplots(len(conditions), len(LEVELLED), squeeze=False)
    for row, (condition, values) in zip(grid, conditions.items(), strict=True):
        for axes, metric in zip(row, LEVELLED, strict=True):
            for place, method in enumerate(methods):
                found = {level: summaries.get((method, condition, level, metric)) for level in values}
                _line(axes, {level: summary for level, summary in found.items() if summary}, looks[method], place)
            axes.set_xlabel("\n".join(wrap(f"{level_name(condition)} of {text(condition)}", 50)))
            axes.set_ylabel(_TITLES[metric])
            _bounds(axes, metric, highest_entropy(results))
            if len(values) == 1:
                axes.set_xticks(values)
    return figure


def _line(axes: Axes, found: Mapping[float, Summary], look: Look, place: int) -> None:
    """Draw the means of one method by level, and its range over the seeds as a band."""
    summaries = list(found.values())
    axes.plot(
        list(found),
        [summary.mean for summary in summaries],
        markevery=panels.every(len(found), place, marks=12),
        **panels.line(look),
    )
    low, high = [summary.low for summary in summaries], [summary.high for summary in summaries]
    if low != high:
        axes.fill_between(list(found), low, high, color=look.color, alpha=0.15, linewidth=0)


def _bounds(axes: Axes, metric: str, highest: float | None) -> None:
    """Show the whole range of a metric where it is known, and mark what chance gives: 1/C right and ln C of entropy."""
    tidy(axes)
    if metric == "accuracy":
        axes.set_ylim(-0.02, 1.02)
    elif highest is not None:
        axes.set_ylim(-0.02 * highest, 1.04 * highest)
    if highest is not None:
        chance, name = (math.exp(-highest), "1/C") if metric == "accuracy" else (highest, "ln C")
        panels.mark(axes, chance, name, vertical=False)


def _fewest(summaries: Mapping[Place, Summary], method: str, conditions: Iterable[str]) -> int:
    """Return the fewest seeds that a point of a method rests on; a point that is not there is seen to be missing."""
    counts = (
        summary.seeds
        for (name, condition, level, metric), summary in summaries.items()
        if name == method and condition in conditions and level is not None and metric in LEVELLED
    )
    return min(counts, default=0)
