"""Scores of the kinds of a family at one strength: bars side by side, a row per score."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._style import PAGE, text, tidy
from bench_uq.report.looks import Look
from bench_uq.score.analysis import Analysis
from bench_uq.score.labels import kind
from bench_uq.score.stress import Family
from bench_uq.score.summaries import Summary

#: Scores that have a row: more would not fit a page.
_ROWS = 3


def kinds_figure(analysis: Analysis, looks: Mapping[str, Look], one: Family) -> Figure | None:
    """Bars of each method at each kind, with the range over seeds as whiskers."""
    methods = analysis.methods_shown(one.members)
    scores = []
    for metric in analysis.cards.shown("levels"):
        there = any((metric, name) in analysis.measured for name in one.members)
        if there and analysis.cards[metric].axis is not None:
            scores.append(metric)
    scores = scores[:_ROWS]
    if not scores:
        return None

    drawn = list[Summary]()
    seeds = {}
    for method in methods:
        own = list[Summary | None]()
        for name in one.members:
            own += [_score(analysis, method, name, metric) for metric in scores]
        scored = list(filter(None, own))
        seeds[method] = min((summary.seeds for summary in scored), default=0)
        drawn += scored

    handles = _legend.method_handles(analysis, seeds, looks)
    for handle in handles[: len(methods)]:
        handle.set(linestyle="none")
    handles += _legend.range_handle("whiskers", drawn)
    figure = _layout.sheet(PAGE, 1.35 * len(scores) + 0.8, handles)
    grid = figure.subplots(len(scores), 1, sharex=True, squeeze=False)
    places, wide = np.arange(len(one.members)), 0.8 / len(methods)
    for row, metric in enumerate(scores):
        axes, axis = grid[row, 0], analysis.cards[metric].axis
        ends = list[float]()
        for place, method in enumerate(methods):
            x = places + (place - (len(methods) - 1) / 2) * wide
            found = [_score(analysis, method, name, metric) for name in one.members]
            known = [(at, summary) for at, summary in zip(x, found, strict=True) if summary]
            for at, summary in known:
                ends += summary.low, summary.high
                axes.bar(at, summary.mean, wide, color=looks[method].color, linewidth=0)
                axes.vlines(at, summary.low, summary.high, color="#444444", linewidth=0.6)
        if axis is not None:
            axes.set_ylabel(axis.label)
        # A share has its whole range, and every bar begins at 0.
        if analysis.cards[metric].bounds == (0, 1) and max(ends, default=0) > 0.5:
            axes.set_ylim(0, 1)
        axes.set_xlim(-0.6, len(places) - 0.4)
        axes.grid(visible=False, axis="x")
        tidy(axes)
    names = [text(kind(name)) for name in one.members]
    grid[-1, 0].set_xticks(places, labels=names, rotation=35, ha="right")
    level = analysis.levels[one.members[0]][0]
    grid[0, 0].set_title(
        f"{text(analysis.label(one.name))}, {analysis.level_name(one.name)} = {level:g}"
    )
    return figure


def _score(analysis: Analysis, method: str, condition: str, metric: str) -> Summary | None:
    """One score of a method at the level of a condition; None where no bar can show it."""
    found = analysis.drawn(method, condition, analysis.levels[condition][0], metric)
    return found if found is not None and math.isfinite(found.mean) else None
