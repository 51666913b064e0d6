"""The table of mean ranks of methods across datasets."""

from __future__ import annotations

import math

from bench_uq.report.tables.table import RANKS, Cell, Column, Row, Table, fixed
from bench_uq.score.analysis import Analysis
from bench_uq.score.comparisons import Ranking
from bench_uq.score.results import Seeds


def rank_table(analysis: Analysis) -> Table | None:
    """Mean ranks across datasets; None if no score can be ranked."""
    placed = {metric: one for metric, one in analysis.rankings.items() if one.ranks}
    if not placed:
        return None

    seeds = {method: _seeds_everywhere(analysis, method) for method in analysis.methods}
    ranked = {name for one in placed.values() if one.ranks for name in one.ranks.mean}
    claimed = not any(seeds[name].unconverged for name in ranked)

    cells: dict[str, list[Cell]] = {name: [] for name in analysis.methods if name in ranked}
    columns, remarks, told = list[Column](), list[str](), 0
    for metric, one in placed.items():
        columns.append(Column(analysis.cards[metric], RANKS))
        remarks.append(_remark(columns[-1], one))
        told += claimed and one.tells
        own = _cells(analysis, metric, one, marked=claimed and one.tells)
        for name, row in cells.items():
            row.append(own.get(name, Cell()))

    rows = tuple(Row(name, seeds[name], tuple(row)) for name, row in cells.items())
    subject = "mean ranks across datasets on clean data, 1 for the best"
    return Table("", tuple(columns), rows, subject, tuple(remarks), told)


def _cells(analysis: Analysis, metric: str, one: Ranking, *, marked: bool) -> dict[str, Cell]:
    """The mean ranks by one score; if marked, the best and all within the critical difference."""
    if one.ranks is None:
        return {}
    counts = clean_runs(analysis, metric, one)
    best = min(one.ranks.mean.values())

    cells = {}
    for name, rank in one.ranks.mean.items():
        scored, finished = counts[name]
        values = None if scored == finished else scored
        close = rank - best < one.ranks.critical
        cells[name] = Cell(fixed(rank, 2), values=values, best=marked and close)
    return cells


def clean_runs(analysis: Analysis, metric: str, one: Ranking) -> dict[str, tuple[int, int]]:
    """Runs of each ranked method with a clean score on the ranked datasets, and finished runs."""
    scores, runs = analysis.results.scores, analysis.results.runs
    values = scores[(scores["metric"] == metric) & (scores["condition"] == "clean")]
    values = values[values["dataset"].isin(one.over)].dropna(subset="value")
    scored = values["method"].value_counts()

    there = runs["dataset"].isin(one.over)
    finished = runs[there & (runs["status"] == "ok")]["method"].value_counts()
    names = one.ranks.mean if one.ranks else ()
    return {name: (int(scored[name]), int(finished[name])) for name in names}


def _remark(column: Column, one: Ranking) -> str:
    """Say what the ranks of one score rest on."""
    if one.ranks is None:
        return ""
    parts = [
        f"{column.name}: {one.ranks.datasets} datasets",
        f"critical difference {one.ranks.critical:.2f}",
    ]
    if math.isfinite(one.ranks.p):
        parts.append(f"Friedman p = {one.ranks.p:.2g}")
    if not one.tells:
        parts.append("inconclusive: too few datasets")
    left_out = f"; {one}" if str(one) else ""
    return f"{', '.join(parts)}{left_out}."


def _seeds_everywhere(analysis: Analysis, method: str) -> Seeds:
    """The runs of a method on all datasets."""
    own = [analysis.on(dataset).seeds(method) for dataset in analysis.datasets]
    return Seeds(
        planned=sum(one.planned for one in own),
        finished=sum(one.finished for one in own),
        unconverged=sum(one.unconverged for one in own),
        unknown=sum(one.unknown for one in own),
    )
