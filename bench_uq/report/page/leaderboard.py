"""The leaderboard of a page as data for its script: a row for each method, dataset, condition and level."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

from bench_uq.plan.plugins import Plugins
from bench_uq.report.figures.style import Look, looks
from bench_uq.report.tables.captions import ARROWS, level_name
from bench_uq.report.tables.cells import BY, TITLES, cell, decimals
from bench_uq.report.tables.tables import CLEAN, DETECTION, UNSEEN
from bench_uq.score.analysis import Analysis
from bench_uq.score.results import BESIDE
from bench_uq.score.summaries import Shown, Summary

#: The scores that are shown unless others are asked for.
MAIN = (*CLEAN, *UNSEEN, "entropy")
#: The dashes of matplotlib's named lines, in widths of the line.
_DASHES = {"-": (), "--": (3.7, 1.6), "-.": (6.4, 1.6, 1, 1.6)}


def leaderboard(analysis: Analysis) -> dict[str, Any]:
    """Return methods, metrics, groups (dataset, condition, level) and rows; rows name the others by their places."""
    metrics = _metrics(analysis)
    groups, rows, seeds = list[dict[str, Any]](), list[list[Any]](), list[dict[str, Any]]()
    for dataset in analysis.datasets:
        own = analysis.on(dataset)
        seeds.append(
            {
                method: _seeds(own, method)
                for method in analysis.methods
                if own.seeds(method).planned
            }
        )
        for where in places(own):
            rows += [
                [len(groups), method, cells]
                for method, cells in _rows(own, where, list(metrics)).items()
            ]
            groups.append(_group(own, where, list(metrics)))
    order = {method: place for place, method in enumerate(analysis.methods)}
    return {
        "methods": _methods(analysis),
        "metrics": list(metrics.values()),
        "groups": groups,
        "seeds": [{str(order[method]): found for method, found in one.items()} for one in seeds],
        "rows": [[group, order[method], cells] for group, method, cells in rows],
    }


def places(analysis: Analysis) -> list[Shown]:
    """Return what was shown to the methods on one dataset: clean data, unseen data, then attacks and shifts by level.

    Where nothing was scored it is the clean data, so that runs that failed have a row.
    """
    pairs = (
        analysis.results.scores[["condition", "level"]]
        .drop_duplicates()
        .itertuples(index=False, name=None)
    )
    found = [
        (str(condition), None if math.isnan(level) else float(level)) for condition, level in pairs
    ]
    return sorted(found, key=lambda where: (where[0] != "clean", where[1] is not None, where)) or [
        ("clean", None)
    ]


def measured(analysis: Analysis) -> list[str]:
    """Return the ids of the metrics of the results in the order of columns: the main ones first, then as in lists."""
    there = set(analysis.results.scores["metric"])
    there |= {beside for metric, beside in BESIDE.items() if metric in there}
    known = list(Plugins().metrics())
    main = [*MAIN, *sorted(there - set(known))]
    return [metric for metric in dict.fromkeys([*main, *known]) if metric in there] or ["nll"]


def _metrics(analysis: Analysis) -> dict[str, dict[str, Any]]:
    """Return what a column says of each metric; ``after`` is the place of the metric that it always stands beside."""
    cards = Plugins().metrics()
    order, owners = measured(analysis), {beside: metric for metric, beside in BESIDE.items()}
    return {
        name: {
            "id": name,
            "label": _label(name),
            "title": cards[name].title if name in cards else name,
            "direction": cards[name].direction if name in cards else "none",
            "arrow": ARROWS[cards[name].direction if name in cards else "none"].strip(),
            "main": name in MAIN or name not in cards,
            "after": order.index(owners[name]) if owners.get(name) in order else None,
        }
        for name in order
    }


def _label(metric: str) -> str:
    """Return what a column is called: a score of detection by what it rests on, but for the one always shown."""
    kind, _, by = metric.partition("_")
    under = f" by {BY[by]}" if kind in DETECTION and by in BY and metric not in UNSEEN else ""
    return TITLES.get(metric, metric).replace("\n", " ") + under


def _methods(analysis: Analysis) -> list[dict[str, str]]:
    """Return name, colour and dashes of each method."""
    found = looks(analysis.results.siblings or analysis.methods)
    return [
        {"name": method, "color": found[method].color, "dash": _dash(found[method])}
        for method in analysis.methods
    ]


def _dash(look: Look) -> str:
    """Return the dashes of a line as SVG writes them, for a line two units wide."""
    dashes = _DASHES.get(look.linestyle) if isinstance(look.linestyle, str) else look.linestyle[1]
    return " ".join(f"{2 * dash:g}" for dash in dashes or ())


def _group(analysis: Analysis, where: Shown, metrics: list[str]) -> dict[str, Any]:
    """Return where a score was measured, and the detectable difference of each metric that has a verdict."""
    (dataset,), (condition, level) = analysis.datasets, where
    found = {metric: analysis.comparisons.get((condition, level, metric)) for metric in metrics}
    return {
        "dataset": dataset,
        "condition": condition,
        "level": level,
        "levelName": level_name(condition),
        "verdicts": {
            str(metrics.index(metric)): "–"
            if math.isnan(one.detectable)
            else f"{one.detectable:.2g}"
            for metric, one in found.items()
            if one
        },
    }


def _rows(analysis: Analysis, where: Shown, metrics: list[str]) -> dict[str, list[list[Any]]]:
    """Return the cells of each method that was to be shown this; a method whose runs all failed has none."""
    condition, level = where
    methods, summaries = analysis.methods_shown([condition]), analysis.summaries
    rows: dict[str, list[list[Any]]] = {method: [] for method in methods}
    for place, metric in enumerate(metrics):
        found = {name: summaries.get((name, condition, level, metric)) for name in methods}
        verdict = analysis.comparisons.get((condition, level, metric))
        for method, one in _cells(analysis, found).items():
            rows[method].append([place, *one, int(verdict is not None and method in verdict.tied)])
    return rows


def _cells(analysis: Analysis, found: Mapping[str, Summary | None]) -> dict[str, list[Any]]:
    """Return the value to sort by, its text, its spread and its number of values where seeds lack it, by method."""
    digits = decimals(summary for summary in found.values() if summary)
    cells = {}
    for method, summary in found.items():
        if summary:
            text = cell(summary, analysis.seeds(method).finished, digits)
            cells[method] = [sortable(summary.mean), text.mean, text.spread, text.values]
    return cells


def sortable(value: float) -> float | None:
    """Return a number that JSON can hold: infinity is its largest one."""
    return None if math.isnan(value) else max(-sys.float_info.max, min(value, sys.float_info.max))


def _seeds(analysis: Analysis, method: str) -> dict[str, Any]:
    """Return how many seeds of a method on one dataset finished, and in words what became of the others."""
    seeds, runs = analysis.seeds(method), analysis.results.runs
    unfinished = runs.loc[
        (runs["method"] == method) & (runs["status"] != "ok"), "status"
    ].value_counts()
    said = [f"{count} {status}" for status, count in sorted(unfinished.items())]
    said += [f"{seeds.unconverged} not converged"] if seeds.unconverged else []
    said += ["trained elsewhere, convergence unknown"] if seeds.unknown else []
    return {
        "text": str(seeds),
        "note": ", ".join(said),
        "finished": seeds.finished,
        "planned": seeds.planned,
        "unconverged": seeds.unconverged,
    }
