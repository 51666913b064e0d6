"""The leaderboard of a page as data: a row per method, dataset, condition and level."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

from bench_uq.report.looks import Look, looks
from bench_uq.report.tables.table import cell, marks
from bench_uq.score.analysis import Analysis
from bench_uq.score.comparisons import found_from
from bench_uq.score.labels import ARROWS
from bench_uq.score.rounding import decimals
from bench_uq.score.summaries import Shown

#: The dashes of matplotlib's named lines, in widths of the line.
_DASHES = {"-": (), "--": (3.7, 1.6), "-.": (6.4, 1.6, 1, 1.6)}


def leaderboard_data(analysis: Analysis) -> dict[str, Any]:
    """Methods, metrics, groups (dataset, condition, level) and rows, which name them by number."""
    metrics = measured(analysis)
    order = analysis.methods.index
    groups, rows, seeds = list[dict[str, Any]](), list[list[Any]](), list[dict[str, Any]]()
    for dataset in analysis.datasets:
        own = analysis.on(dataset)
        # As text, because keys of JSON are.
        seeds.append({str(order(method)): _seeds(own, method) for method in own.methods})
        for where in places(own):
            for method, cells in _rows(own, where, metrics).items():
                rows.append([len(groups), order(method), cells])
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
        if math.isnan(level):
            level = None
        found.append((str(condition), level))
    # A level cannot be compared with None: whether there is one decides before it does.
    found.sort(key=lambda where: (where[0] != "clean", where[1] is not None, where))
    return found or [("clean", None)]


def measured(analysis: Analysis) -> list[str]:
    """The metrics of the results in the order of columns: the main ones, then as in lists."""
    cards = analysis.cards
    there = set[str]()
    for metric in set(analysis.results.scores["metric"]):
        there |= {metric, cards[metric].companion}
    there.discard("")

    unknown = sorted(there.difference(cards))
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
    label = card.heading.replace("\n", " ")
    # The metric that stands for the others in overviews has the plain heading there and here.
    if card.by and name not in cards.shown("unseen"):
        label += f" by {card.by}"

    companions = [cards[owner].companion for owner in metrics]
    after = None
    if name in companions:
        after = companions.index(name)
    return {
        "id": name,
        "label": label,
        "title": card.title,
        "direction": card.direction,
        "arrow": ARROWS[card.direction].strip(),
        "main": name in _main(analysis) or name not in cards,
        "after": after,
    }


def _methods(analysis: Analysis) -> list[dict[str, str]]:
    """Name, the same without options where that is enough, colour and dashes of each method."""
    found = looks(analysis.results)
    methods = []
    for name in analysis.methods:
        look = found[name]
        names = {"name": analysis.label(name), "short": analysis.spoken(name)}
        methods.append({**names, "color": look.color, "dash": _dash(look)})
    return methods


def _dash(look: Look) -> str:
    """The dashes of a line as SVG writes them, for a line two units wide."""
    # matplotlib has names for some lines and pairs of an offset and dashes for others.
    dashes = _DASHES.get(look.linestyle)
    if dashes is None:
        _offset, dashes = look.linestyle
    return " ".join(f"{2 * dash:g}" for dash in dashes)


def _group(analysis: Analysis, where: Shown, metrics: Sequence[str]) -> dict[str, Any]:
    """A place, and the detectable difference of each metric whose methods are compared there.

    "none" where it is more than the score can differ by, a dash where it is unknown.
    """
    condition, level = where
    verdicts = {}
    for place, metric in enumerate(metrics):
        found = analysis.comparisons.get((condition, level, metric))
        if found:
            mean = analysis.summaries[found.best, condition, level, metric].mean
            least = found_from(analysis.cards[metric], found, mean)
            verdicts[str(place)] = f"{least:.2g}".replace("nan", "–").replace("inf", "none")

    return {
        "dataset": analysis.dataset,
        "datasetName": analysis.label(analysis.dataset),
        "condition": condition,
        "conditionName": analysis.label(condition),
        "level": level,
        "levelName": analysis.level_name(condition),
        "verdicts": verdicts,
    }


def _rows(analysis: Analysis, where: Shown, metrics: Sequence[str]) -> dict[str, list[list[Any]]]:
    """The cells of each method that was to be evaluated here; failed methods have none.

    A cell: number of the metric, value to sort by, text, spread, of how many seeds it is if not of
    all, and its mark: 1 for bold, 2 for italics, else 0.
    """
    condition, level = where
    shown = analysis.methods_shown([condition])
    rows: dict[str, list[list[Any]]] = {method: [] for method in shown}
    for place, metric in enumerate(metrics):
        found = {}
        for name in rows:
            summary = analysis.summaries.get((name, condition, level, metric))
            if summary:
                found[name] = summary

        digits = decimals(found.values())
        marked = marks(analysis, (condition, level, metric))
        for name, summary in found.items():
            text = marked.on(name, cell(summary, analysis.seeds(name).finished, digits))
            numbers = [place, sortable(summary.mean)]
            mark = 1 if text.best else 2 * text.worse
            rows[name].append([*numbers, text.mean, text.spread, text.values, mark])
    return rows


def sortable(value: float) -> float | None:
    """A number that JSON can hold: infinity is its largest one."""
    if math.isnan(value):
        return None
    return max(-sys.float_info.max, min(value, sys.float_info.max))


def _seeds(analysis: Analysis, method: str) -> dict[str, Any]:
    """How many seeds of a method finished, and a note on the others."""
    seeds, runs = analysis.seeds(method), analysis.results.runs
    failed = runs.loc[(runs["method"] == method) & (runs["status"] != "ok"), "status"]
    notes = [f"{count} {status}" for status, count in sorted(failed.value_counts().items())]
    if seeds.unconverged:
        notes.append(f"{seeds.unconverged} not converged")
    if seeds.improving:
        notes.append(seeds.improving)
    if seeds.unknown:
        notes.append("trained elsewhere, convergence unknown")

    return {
        "text": str(seeds),
        "note": ", ".join(notes),
        "finished": seeds.finished,
        "planned": seeds.planned,
        "marked": seeds.marked,
    }
