"""Ours against published: our scores beside the values of a suite's reference.csv, in no format yet."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import groupby

from bench_uq.report.tables.captions import ARROWS, level_name
from bench_uq.report.tables.captions import notes as marks
from bench_uq.report.tables.cells import Cell, Column, Row, Table, cell, decimals, fixed
from bench_uq.report.tables.tables import CLEAN
from bench_uq.score.analysis import Analysis
from bench_uq.score.published import TEST_ERROR, Reference
from bench_uq.score.results import Seeds
from bench_uq.score.summaries import Place, Summary


@dataclass(frozen=True)
class Compared:
    """One published value beside ours of the same method; ``difference`` is empty without ours."""

    method: str
    seeds: Seeds
    ours: Cell
    published: Cell
    difference: str
    source: str
    certainty: str
    notes: tuple[int, ...]  # places in the notes of the table, from 1


@dataclass(frozen=True)
class Group:
    """Values of one score."""

    column: Column
    title: str
    rows: tuple[Compared, ...]


@dataclass(frozen=True)
class Comparison:
    """All published values on one dataset, score by score, and what differs between their protocols and ours."""

    dataset: str
    groups: tuple[Group, ...]
    notes: tuple[str, ...]

    @property
    def rows(self) -> tuple[Compared, ...]:
        """Return the rows of all groups."""
        return tuple(row for group in self.groups for row in group.rows)


def comparison(analysis: Analysis) -> Comparison | None:
    """Return the published values of the methods that there are results of, on one dataset; None without any."""
    methods = analysis.methods
    known = [one for one in analysis.results.references if one.method in methods]
    if not known:
        return None
    known.sort(key=lambda one: (*_score(one), methods.index(one.method), one.source))
    notes = list(dict.fromkeys(note for one in known for note in _notes(one)))
    summaries = analysis.summaries
    groups = tuple(
        _group(analysis, list(group), summaries, notes)
        for _, group in groupby(known, key=lambda one: _score(one))
    )
    (dataset,) = analysis.datasets
    return Comparison(dataset, groups, tuple(notes))


def caption(table: Comparison) -> str:
    """Return the caption: what is compared, and how it is written."""
    return " ".join([f"{table.dataset}: ours against published.", *legend(table)])


def sources(table: Comparison) -> list[str]:
    """Return what the values of others come from, each once, in the order of the rows."""
    return list(dict.fromkeys(row.source for row in table.rows))


def legend(table: Comparison) -> list[str]:
    """Return a sentence for each mark that the table uses."""
    return [
        "Ours: mean ± standard deviation over n seeds; published: as printed; difference: ours - published.",
        *marks(_plain(table)),
        *certainties(table),
    ]


def _plain(table: Comparison) -> Table:
    """Return our side of a comparison, a row a method, as the table whose marks need the same words."""
    methods = {row.method: row.seeds for row in table.rows}
    cells = {
        method: tuple(row.ours for row in table.rows if row.method == method) for method in methods
    }
    rows = tuple(Row(method, seeds, cells[method]) for method, seeds in methods.items())
    return Table(table.dataset, tuple(group.column for group in table.groups), rows)


def certainties(table: Comparison) -> list[str]:
    """Return a sentence for each degree of certainty that the table uses."""
    said = {
        "seen": "seen: read in the source or in a text that quotes it.",
        "corroborated": "corroborated: known by heart, and borne out by texts of others on the same experiment.",
        "recalled": "recalled: known by heart alone, so that the source may say otherwise.",
    }
    used = {row.certainty for row in table.rows}
    return [sentence for name, sentence in said.items() if name in used]


def _score(one: Reference) -> tuple[bool, str, float, int, str]:
    """Return what a value is of, to sort by: clean data first, then conditions, levels and scores."""
    order = [TEST_ERROR, *CLEAN]
    place = order.index(one.metric) if one.metric in order else len(order)
    return one.condition != "clean", one.condition, float(one.level or "-inf"), place, one.metric


def _title(one: Reference, column: Column) -> str:
    """Return what a value is of, in words."""
    title = "Test error (%)" if one.metric == TEST_ERROR else column.title.replace("\n", " ")
    level = f", {level_name(one.condition)} = {one.level}" if one.level else ""
    return (
        title
        + ARROWS[column.direction]
        + ("" if one.condition == "clean" else f" ({one.condition}{level})")
    )


def _notes(one: Reference) -> list[str]:
    """Return the notes of a value."""
    return [note.strip().rstrip(".") for note in one.notes.split("; ") if note.strip(" .")]


def _group(
    analysis: Analysis, known: list[Reference], summaries: dict[Place, Summary], notes: list[str]
) -> Group:
    """Return the rows of one score, ours with as many decimals as their spread deserves, or as were published."""
    ours = [_ours(one, summaries) for one in known]
    printed = max(len(one.value.partition(".")[2]) for one in known)
    digits = max(decimals(summary for summary in ours if summary), min(printed, 6))
    rows = []
    for one, summary in zip(known, ours, strict=True):
        seeds = analysis.seeds(one.method)
        rows.append(
            Compared(
                method=one.method,
                seeds=seeds,
                ours=cell(summary, seeds.finished, digits),
                published=Cell(one.value, one.spread),
                difference=_signed(summary.mean - float(one.value), digits) if summary else "",
                source=one.source,
                certainty=one.certainty,
                notes=tuple(sorted(notes.index(note) + 1 for note in _notes(one))),
            )
        )
    column = Column(known[0].metric, known[0].condition)
    return Group(column, _title(known[0], column), tuple(rows))


def _ours(one: Reference, summaries: dict[Place, Summary]) -> Summary | None:
    """Return our score in the published unit."""
    metric = "accuracy" if one.metric == TEST_ERROR else one.metric
    found = summaries.get(
        (one.method, one.condition, float(one.level) if one.level else None, metric)
    )
    if found is None or one.metric != TEST_ERROR:
        return found
    low, high = 100 * (1 - found.high), 100 * (1 - found.low)
    return replace(found, mean=100 * (1 - found.mean), sd=100 * found.sd, low=low, high=high)


def _signed(value: float, digits: int) -> str:
    """Write a difference with its sign; one that rounds to zero has none."""
    text = fixed(value, digits)
    return f"+{text}" if value > 0 and text.strip("0.") and math.isfinite(value) else text
