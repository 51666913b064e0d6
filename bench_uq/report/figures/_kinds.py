"""Scores of the kinds of a family at one strength: bars side by side, a row per score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench_uq.api.metric import Metric
from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._style import paper, text, tidy
from bench_uq.report.looks import Look
from bench_uq.score.analysis import Analysis
from bench_uq.score.labels import kind
from bench_uq.score.stress import Family
from bench_uq.score.summaries import Summary

#: Scores that have a row: more would not fit a page.
_ROWS = 3

#: A score of each method at each kind.
Bars = dict[str, list[Summary | None]]


def kinds_figure(analysis: Analysis, looks: Mapping[str, Look], one: Family) -> Figure | None:
    """Bars of each method at each kind, with the range over seeds as whiskers."""
    scores = _scores_of(analysis, one)
    if not scores:
        return None

    (level,) = one.levels
    methods = analysis.methods_shown(one.members)
    bars = {metric: _bars(analysis, one, methods, metric) for metric in scores}
    figure = _layout.sheet(paper().page, 1.35 * len(scores) + 0.8, _handles(analysis, looks, bars))
    grid = figure.subplots(len(scores), 1, sharex=True, squeeze=False)[:, 0]
    for axes, metric in zip(grid, scores, strict=True):
        _row(axes, analysis.cards[metric], bars[metric], looks)

    names = [text(kind(name)) for name in one.members]
    grid[-1].set_xticks(range(len(names)), labels=names, rotation=35, ha="right")
    grid[-1].set_xlim(-0.6, len(names) - 0.4)
    name = text(analysis.label(one.name))
    grid[0].set_title(f"{name}, {analysis.level_name(one.name)} = {level:g}")
    return figure


def _scores_of(analysis: Analysis, one: Family) -> list[str]:
    """The scores that have a row: the first of those that were measured."""
    scores = []
    for metric in analysis.cards.shown("levels"):
        there = any((metric, name) in analysis.measured for name in one.members)
        if there and analysis.cards[metric].axis is not None:
            scores.append(metric)
    return scores[:_ROWS]


def _bars(analysis: Analysis, one: Family, methods: Sequence[str], metric: str) -> Bars:
    """One score of each method at each kind; None where no bar can show it."""
    (level,) = one.levels
    found = Bars()
    for method in methods:
        own = [analysis.drawn(method, name, level, metric) for name in one.members]
        found[method] = [bar if bar and math.isfinite(bar.mean) else None for bar in own]
    return found


def _handles(
    analysis: Analysis, looks: Mapping[str, Look], bars: Mapping[str, Bars]
) -> list[Artist]:
    """The mark of each method with its seeds, and the meaning of the whiskers."""
    known: dict[str, list[Summary]] = {}
    for own in bars.values():
        for method, each in own.items():
            known.setdefault(method, []).extend(filter(None, each))

    seeds, drawn = dict[str, int](), list[Summary]()
    for method, scored in known.items():
        seeds[method] = min((bar.seeds for bar in scored), default=0)
        drawn += scored
    handles = _legend.method_handles(analysis, seeds, looks)
    for handle in handles[: len(seeds)]:
        handle.set(linestyle="none")
    return handles + _legend.range_handle("whiskers", drawn)


def _row(axes: Axes, card: Metric, bars: Bars, looks: Mapping[str, Look]) -> None:
    """Draw one score: a group of bars for each kind."""
    wide, highest = 0.8 / len(bars), 0.0
    for place, (method, each) in enumerate(bars.items()):
        shift = (place - (len(bars) - 1) / 2) * wide
        for number, bar in enumerate(each):
            if bar is None:
                continue
            x, highest = number + shift, max(highest, bar.high)
            axes.bar(x, bar.mean, wide, color=looks[method].color, linewidth=0)
            axes.vlines(x, bar.low, bar.high, color="#444444", linewidth=0.6)

    if card.axis is not None:
        axes.set_ylabel(card.axis.label)
    # A share has its whole range, and every bar begins at 0.
    if card.bounds == (0, 1) and highest > 0.5:
        axes.set_ylim(0, 1)
    axes.grid(visible=False, axis="x")
    tidy(axes)
