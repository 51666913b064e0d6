"""The leaderboard of a page as data: a row per method, dataset, condition and level."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from bench_uq.report.looks import Look, looks
from bench_uq.report.tables.table import cell, decimals
from bench_uq.score.analysis import Analysis
from bench_uq.score.labels import ARROWS
from bench_uq.score.summaries import Shown, Summary

#: The dashes of matplotlib's named lines, in widths of the line.
_DASHES = {"-": (), "--": (3.7, 1.6), "-.": (6.4, 1.6, 1, 1.6)}


def leaderboard_data(analysis: Analysis) -> dict[str, Any]:
    """Methods, metrics, groups (dataset, condition, level) and rows, which name them by number."""
    metrics = measured(analysis)
    order = {method: place for place, method in enumerate(analysis.methods)}
    groups, rows, seeds = list[dict[str, Any]](), list[list[Any]](), list[dict[str, Any]]()
    for dataset in analysis.datasets:
        own = analysis.on(dataset)
        ran = [method for method in analysis.methods if own.seeds(method).planned]
        seeds.append({str(order[method]): _seeds(own, method) for method in ran})
        for where in places(own):
            for method, cells in _rows(own, where, metrics).items():
                rows.append([len(groups), order[method], cells])
            groups.append(_group(own, where, metrics))
    return {
        "methods": _methods(analysis),
        "metrics": [_metric(analysis, metrics, name) for name in metrics],
        "groups": groups,
        "seeds": seeds,
        "rows": rows,
    }


def places(analysis: Analysis) -> list[Shown]:
    """Clean data, out-of-distribution data, then attacks and shifts by level.

    If nothing was scored, the clean data, so that failed runs have a row.
    """
    pairs = analysis.results.scores[["condition", "level"]].drop_duplicates()
    found: list[Shown] = []
    for condition, level in pairs.itertuples(index=False, name=None):
        found.append((str(condition), None if math.isnan(level) else float(level)))
    found.sort(key=lambda where: (where[0] != "clean", where[1] is not None, where))
    return found or [("clean", None)]


def measured(analysis: Analysis) -> list[str]:
    """The metrics of the results in the order of columns: the main ones, then as in lists."""
    cards = analysis.cards
    there = set(analysis.results.scores["metric"])
    for metric in list(there):
        there.add(cards[metric].companion)
    there.discard("")

    unknown = sorted(metric for metric in there if metric not in cards)
    ordered = dict.fromkeys([*_main(analysis), *unknown, *cards])
    return [metric for metric in ordered if metric in there] or ["nll"]


def _main(analysis: Analysis) -> list[str]:
    """The metrics that are shown unless others are asked for."""
    cards = analysis.cards
    return [*cards.shown("clean"), *cards.shown("unseen"), *cards.shown("page")]


def _metric(analysis: Analysis, metrics: list[str], name: str) -> dict[str, Any]:
    """The column of a metric; ``after`` is the number of the metric that it is a companion of."""
    cards = analysis.cards
    card = cards[name]
    owners = [place for place, owner in enumerate(metrics) if cards[owner].companion == name]
    label = card.heading.replace("\n", " ")
    if card.by and name not in cards.shown("unseen"):
        label += f" by {card.by}"
    return {
        "id": name,
        "label": label,
        "title": card.title,
        "direction": card.direction,
        "arrow": ARROWS[card.direction].strip(),
        "main": name in _main(analysis) or name not in cards,
        "after": owners[0] if owners else None,
    }


def _methods(analysis: Analysis) -> list[dict[str, str]]:
    """Name, colour and dashes of each method."""
    found = looks(analysis.results)
    methods = []
    for name in analysis.methods:
        look = found[name]
        methods.append({"name": name, "color": look.color, "dash": _dash(look)})
    return methods


def _dash(look: Look) -> str:
    """The dashes of a line as SVG writes them, for a line two units wide."""
    dashes = _DASHES.get(look.linestyle) if isinstance(look.linestyle, str) else look.linestyle[1]
    return " ".join(f"{2 * dash:g}" for dash in dashes or ())


def _group(analysis: Analysis, where: Shown, metrics: Sequence[str]) -> dict[str, Any]:
    """A place, and the detectable difference of each metric whose methods are compared there."""
    condition, level = where
    verdicts = {}
    for place, metric in enumerate(metrics):
        found = analysis.comparisons.get((condition, level, metric))
        if found:
            known = not math.isnan(found.detectable)
            verdicts[str(place)] = f"{found.detectable:.2g}" if known else "–"
    return {
        "dataset": analysis.dataset,
        "condition": condition,
        "level": level,
        "levelName": analysis.level_name(condition),
        "verdicts": verdicts,
    }


def _rows(analysis: Analysis, where: Shown, metrics: Sequence[str]) -> dict[str, list[list[Any]]]:
    """The cells of each method that was to be evaluated here; failed methods have none."""
    condition, level = where
    methods = analysis.methods_shown([condition])
    rows: dict[str, list[list[Any]]] = {method: [] for method in methods}
    for place, metric in enumerate(metrics):
        found = {}
        for name in methods:
            summary = analysis.summaries.get((name, condition, level, metric))
            if summary:
                found[name] = summary
        comparison = analysis.comparisons.get((condition, level, metric))
        tied = comparison.tied if comparison else ()
        for method, one in _cells(analysis, found).items():
            rows[method].append([place, *one, int(method in tied)])
    return rows


def _cells(analysis: Analysis, found: Mapping[str, Summary]) -> dict[str, list[Any]]:
    """Value to sort by, text, spread, and number of values if some seeds lack it, by method."""
    digits = decimals(found.values())
    cells = {}
    for method, summary in found.items():
        text = cell(summary, analysis.seeds(method).finished, digits)
        cells[method] = [sortable(summary.mean), text.mean, text.spread, text.values]
    return cells


def sortable(value: float) -> float | None:
    """A number that JSON can hold: infinity is its largest one."""
    return None if math.isnan(value) else max(-sys.float_info.max, min(value, sys.float_info.max))


def _seeds(analysis: Analysis, method: str) -> dict[str, Any]:
    """How many seeds of a method finished, and a note on the others."""
    seeds, runs = analysis.seeds(method), analysis.results.runs
    failed = runs.loc[(runs["method"] == method) & (runs["status"] != "ok"), "status"]
    notes = [f"{count} {status}" for status, count in sorted(failed.value_counts().items())]
    if seeds.unconverged:
        notes.append(f"{seeds.unconverged} not converged")
    if seeds.unknown:
        notes.append("trained elsewhere, convergence unknown")
    return {
        "text": str(seeds),
        "note": ", ".join(notes),
        "finished": seeds.finished,
        "planned": seeds.planned,
        "unconverged": seeds.unconverged,
    }
