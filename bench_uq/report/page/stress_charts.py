"""The charts of a page of attacks and shifts: scores by level, and what refusing the least sure is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench_uq.report.page.lines import UNIT, Chart, Grids, line_of, short
from bench_uq.report.tables.captions import ARROWS, level_name
from bench_uq.report.tables.cells import TITLES
from bench_uq.report.tables.tables import LEVEL_AXES
from bench_uq.score.analysis import Analysis
from bench_uq.score.results import BESIDE
from bench_uq.score.stress import kept_accuracy
from bench_uq.score.summaries import Summary, directions


def by_level(analysis: Analysis, grids: Grids, highest: float | None) -> list[Chart]:
    """Return a chart for each condition with levels and score, with the range over the seeds as a band.

    Kinds of one thing are one condition here: the leaderboard has each of them.
    """
    found, analysis = list[Chart](), analysis.over_kinds
    for condition, values in analysis.levels.items():
        for metric, axis in LEVEL_AXES.items():
            lines = _level_lines(analysis, grids, condition, values, metric)
            chart = {
                "section": f"Scores under {condition}",
                "title": " ".join(TITLES[metric].split()) + ARROWS[directions()[metric]],
                "x": f"{level_name(condition)} of {condition}",
                "y": axis,
                "lines": lines,
                "marks": _chance(metric, highest),
                "note": "dashed: a perfectly calibrated model" if metric in BESIDE else "",
            }
            found.append(
                chart
                | ({"range": UNIT} if metric in ("accuracy", "accuracy_kept_80", "picp") else {})
            )
    return found


def _level_lines(
    analysis: Analysis, grids: Grids, condition: str, values: Sequence[float], metric: str
) -> list[dict[str, Any]]:
    """Return the line of each method that has the score at some level; a hole is a gap in the line."""
    summaries, lines = analysis.summaries, []
    for method in analysis.methods:
        found = [summaries.get((method, condition, level, metric)) for level in values]
        if any(found):
            line = _range_line(method, grids.place(values), found)
            if metric in BESIDE:
                beside = [
                    summaries.get((method, condition, level, BESIDE[metric])) for level in values
                ]
                line["beside"] = short([one.mean if one else math.nan for one in beside])
            lines.append(line)
    return lines


def _range_line(method: str, grid: int, found: Sequence[Summary | None]) -> dict[str, Any]:
    """Return means with the lowest and highest seed, and the fewest seeds that one of them rests on."""
    line = {
        part: short([getattr(one, name) if one else math.nan for one in found])
        for part, name in {"y": "mean", "low": "low", "high": "high"}.items()
    }
    return {"method": method, "x": grid, **line, "seeds": min(one.seeds for one in found if one)}


def _chance(metric: str, highest: float | None) -> list[dict[str, Any]]:
    """Mark what chance gives: 1/C right, ln C of entropy, and half of all pairs told apart."""
    if metric.startswith("auroc"):
        return [{"axis": "y", "at": 0.5, "name": "chance"}]
    if highest is None or not metric.startswith(("accuracy", "entropy")):
        return []
    place, name = (
        (math.exp(-highest), "1/C") if metric.startswith("accuracy") else (highest, "ln C")
    )
    return [{"axis": "y", "at": place, "name": name}]


def refusal(analysis: Analysis, grids: Grids) -> list[Chart]:
    """Return the chart of each attack or shift at its middle level of the accuracy of what is kept."""
    found = []
    for one in analysis.families:
        level = one.levels[len(one.levels) // 2]
        curves = {
            method: kept_accuracy(analysis.results, method, one, level)
            for method in analysis.methods
        }
        chart = {
            "section": "Refusing the least sure, at middle levels",
            "title": f"{one.title}, {level_name(one.name)} = {level:g}",
            "x": "share refused, the least confident first",
            "y": "accuracy of what is kept",
            "range": UNIT,
            "lines": [
                line_of(method, grids, curve) for method, curve in curves.items() if len(curve.x)
            ],
        }
        found.append(chart)
    return found
