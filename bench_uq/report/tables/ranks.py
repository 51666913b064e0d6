"""The table of mean ranks of methods across datasets."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bench_uq.report.tables.provenance import sizes
from bench_uq.report.tables.table import RANKS, Cell, Column, Row, Table
from bench_uq.score.analysis import Analysis
from bench_uq.score.comparisons import Ranking
from bench_uq.score.rounding import fixed
from bench_uq.score.statistics import Ranks


def rank_table(analysis: Analysis) -> Table | None:
    """Mean ranks across datasets; None if no score can be ranked."""
    placed = list[tuple[Column, Ranking, Ranks]]()
    ranked = set[str]()
    for metric, one in analysis.rankings.items():
        if one.ranks:
            placed.append((Column(analysis.cards[metric], RANKS), one, one.ranks))
            ranked.update(one.ranks.mean)
    if not placed:
        return None

    # A mean rank depends on all methods, so one that is not alike spoils every comparison.
    claimed = ranked <= {*analysis.comparable}
    cells: dict[str, list[Cell]] = {name: [] for name in analysis.methods if name in ranked}
    columns, remarks, compared = list[Column](), list[str](), 0
    for column, one, ranks in placed:
        marked = claimed and one.tells
        compared += marked
        columns.append(column)
        remarks.append(_remark(column, one, ranks))

        own = _cells(ranks, clean_runs(analysis, column.metric, one), marked=marked)
        for name, row in cells.items():
            row.append(own.get(name, Cell()))

    rows = list[Row]()
    for name, row in cells.items():
        rows.append(Row(name, analysis.seeds(name), tuple(row), analysis.label(name)))
    remarks.append(sizes(analysis.results))
    said = tuple(filter(None, remarks))
    subject = "mean ranks across datasets on clean data, 1 for the best"
    return Table("", tuple(columns), tuple(rows), subject, said, compared)


def _cells(ranks: Ranks, counts: Mapping[str, tuple[int, int]], *, marked: bool) -> dict[str, Cell]:
    """The mean ranks by one score; if marked, the best and all within the critical difference."""
    best = min(ranks.mean.values())
    cells = {}
    for name, rank in ranks.mean.items():
        scored, finished = counts[name]
        values = ""
        if scored != finished:
            values = f"n={scored}"
        close = rank - best < ranks.critical
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
    if one.ranks is None:
        return {}
    return {name: (int(scored[name]), int(finished[name])) for name in one.ranks.mean}


def _remark(column: Column, one: Ranking, ranks: Ranks) -> str:
    """Number of datasets, critical difference and Friedman's p of the ranks by one score."""
    parts = [f"{column.name}: {ranks.datasets} datasets"]
    parts.append(f"critical difference {ranks.critical:.2f}")
    # Friedman's test needs three methods.
    if math.isfinite(ranks.p):
        parts.append(f"Friedman p = {ranks.p:.2g}")
    if not one.tells:
        parts.append("inconclusive: too few datasets")

    remark = ", ".join(parts)
    left_out = str(one)
    if left_out:
        remark += f"; {left_out}"
    return f"{remark}."
