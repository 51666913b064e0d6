"""The charts of a page of attacks and shifts: scores by level, and accuracy after rejection."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

from bench_uq.api.metric import Metric
from bench_uq.report.page.lines import UNIT, Chart, Grids, line_of, short
from bench_uq.score.analysis import Analysis
from bench_uq.score.labels import ARROWS
from bench_uq.score.stress import Family, kept_accuracy
from bench_uq.score.summaries import Summary


def by_level(analysis: Analysis, grids: Grids) -> list[Chart]:
    """A chart per condition with levels and score, with the range over the seeds as a band.

    Kinds of one corruption are one condition here: the leaderboard has each of them.
    """
    titles = {one.title: analysis.label(one.name) for one in analysis.families}
    analysis, found = analysis.over_kinds, []
    for condition, metric in product(analysis.levels, analysis.cards.shown("levels")):
        card = analysis.cards[metric]
        if card.axis is None:
            continue

        note = ""
        if card.companion:
            beside = analysis.cards[card.companion].heading.split()
            note = f"dotted: {' '.join(beside)}"
        lines = _level_lines(analysis, grids, condition, card)
        if any(None in line["y"] for line in lines):
            gaps = "gaps: not every seed has a value"
            note = f"{note}; {gaps}" if note else gaps
        chart: Chart = {
            "section": f"Scores under {analysis.label(condition)}",
            "title": " ".join(card.heading.split()) + ARROWS[card.direction],
            "x": f"{analysis.level_name(condition)} of {titles[condition]}",
            "y": card.axis.label,
            "lines": lines,
            "marks": _chance(card.axis.chance, analysis.highest_entropy),
            "note": note,
        }
        # The other shares are far from one end.
        if card.bounds == (0, 1) and card.axis.chance != "1/2" and not card.axis.form:
            chart["range"] = UNIT
        found.append(chart)
    return found


def _level_lines(
    analysis: Analysis, grids: Grids, condition: str, card: Metric
) -> list[dict[str, Any]]:
    """The means of each method that has the score at some level, with the range over its seeds."""
    lines = []
    for method in analysis.methods:
        found = _at_levels(analysis, method, condition, card.id)
        if not any(found):
            continue

        # A missing level stays a gap: a line over it would claim a value there.
        line = {
            "method": method,
            "x": grids.place(analysis.levels[condition]),
            "y": _values("mean", found),
            "low": _values("low", found),
            "high": _values("high", found),
            "seeds": min(one.seeds for one in found if one),
        }
        if card.companion:
            beside = _at_levels(analysis, method, condition, card.companion)
            line["beside"] = _values("mean", beside)
        lines.append(line)
    return lines


def _at_levels(
    analysis: Analysis, method: str, condition: str, metric: str
) -> list[Summary | None]:
    """One score of a method at each level of a condition."""
    found = []
    for level in analysis.levels[condition]:
        found.append(analysis.drawn(method, condition, level, metric))
    return found


def _values(name: str, found: Sequence[Summary | None]) -> list[float | None]:
    """One field of summaries, None for missing ones."""
    return short(getattr(one, name, math.nan) for one in found)


def _chance(chance: str, highest: float | None) -> list[dict[str, Any]]:
    """Mark the value of a guess."""
    if chance == "1/2":
        return [{"axis": "y", "at": 0.5, "name": "chance"}]
    if not chance or highest is None:
        return []

    place = highest
    if chance == "1/C":
        # The highest entropy is ln C.
        place = math.exp(-highest)
    return [{"axis": "y", "at": place, "name": chance}]


def at_middle(analysis: Analysis, one: Family) -> tuple[float, str]:
    """The middle level of an attack or shift, and the title of a chart that shows it there."""
    level = one.levels[len(one.levels) // 2]
    return level, f"{analysis.label(one.title)}, {analysis.level_name(one.name)} = {level:g}"


def rejection(analysis: Analysis, grids: Grids) -> list[Chart]:
    """The accuracy of the accepted examples under each attack or shift at its middle level."""
    found = []
    for one in analysis.families:
        level, title = at_middle(analysis, one)
        lines = []
        for method in analysis.methods:
            curve = kept_accuracy(analysis.results, method, one, level)
            if len(curve.x):
                lines.append(line_of(method, grids, curve))

        chart = {
            "section": "Rejection of the least confident, at middle levels",
            "title": title,
            "x": "share rejected, the least confident first",
            "y": "accuracy of accepted",
            "range": UNIT,
            "lines": lines,
        }
        found.append(chart)
    return found
