"""Our scores beside the published values of a suite's reference.csv, in no format yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from bench_uq.report.tables.captions import notes as marks
from bench_uq.report.tables.provenance import sizes
from bench_uq.report.tables.table import Cell, Column, Row, Table, cell
from bench_uq.score.analysis import Analysis
from bench_uq.score.beside_published import changed_settings, ours
from bench_uq.score.labels import ARROWS
from bench_uq.score.published import TEST_ERROR, Reference
from bench_uq.score.results import Seeds
from bench_uq.score.rounding import decimals, signed

CERTAINTIES = {
    "seen": "seen: read in the source, or in a text that quotes it.",
    "corroborated": "corroborated: quoted from secondary sources; not checked in the original.",
    "recalled": "recalled: from memory; not checked in the original.",
}


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
    label: str = ""  # of the method, as readers see it; empty: its name

    @property
    def name(self) -> str:
        """The method as readers see it."""
        return self.label or self.method


@dataclass(frozen=True)
class Group:
    """Values of one score."""

    column: Column
    title: str
    rows: tuple[Compared, ...]


@dataclass(frozen=True)
class Comparison:
    """All published values on one dataset; notes say how their protocols differ from ours.

    ``changed`` are the settings that our commands changed, by method; ``sizes`` is a sentence on
    our examples.
    """

    dataset: str
    groups: tuple[Group, ...]
    notes: tuple[str, ...]
    changed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sizes: str = ""

    @property
    def rows(self) -> tuple[Compared, ...]:
        """The rows of all groups."""
        rows = list[Compared]()
        for group in self.groups:
            rows += group.rows
        return tuple(rows)


def comparison(analysis: Analysis) -> Comparison | None:
    """The published values of the methods on one dataset; None without any."""
    methods = analysis.methods
    known = [one for one in analysis.results.references if one.method in methods]
    if not known:
        return None

    order = [TEST_ERROR, *analysis.cards.shown("clean")]
    known.sort(key=lambda one: (*_score(one, order), methods.index(one.method), one.source))
    # Several values often share a note, which then has one number.
    notes: dict[str, None] = {}
    for one in known:
        notes |= dict.fromkeys(_notes(one))

    # Neighbours of one score are a group: groupby() itself does not sort.
    changes = changed_settings(analysis, {one.method for one in known})
    apart = analysis.results.apart(analysis.dataset) | changes.keys()
    groups = []
    for _, own in groupby(known, key=lambda one: _score(one, order)):
        groups.append(_group(analysis, list(own), list(notes), apart))
    said = sizes(analysis.results)
    named = {analysis.label(method): names for method, names in changes.items()}
    return Comparison(analysis.label(analysis.dataset), tuple(groups), tuple(notes), named, said)


def caption(table: Comparison) -> str:
    """Subject and legend."""
    return " ".join([f"{table.dataset}: ours against published.", *legend(table)])


def sources(table: Comparison) -> list[str]:
    """The sources of the published values, in the order of the rows."""
    return list(dict.fromkeys(row.source for row in table.rows))


def legend(table: Comparison) -> list[str]:
    """A sentence for each mark and each degree of certainty that the table uses."""
    said = [
        "Ours: mean ± standard deviation over n seeds; published: as printed; "
        "difference: ours - published.",
        *marks(_plain(table)),
    ]

    if table.changed:
        parts = [f"{method} ({', '.join(names)})" for method, names in table.changed.items()]
        said.append(
            f"No difference where our command changed the suite's settings: {', '.join(parts)}."
        )

    if table.sizes:
        said.append(f"Ours: {table.sizes[0].lower()}{table.sizes[1:]}")

    used = {row.certainty for row in table.rows}
    for name, sentence in CERTAINTIES.items():
        if name in used:
            said.append(sentence)
    return said


def _plain(table: Comparison) -> Table:
    """Our side of a comparison as a table, whose marks need the same words."""
    rows: dict[str, Row] = {}
    for row in table.rows:
        own = rows.get(row.method, Row(row.method, row.seeds, (), row.label))
        rows[row.method] = replace(own, cells=(*own.cells, row.ours))

    columns = tuple(group.column for group in table.groups)
    return Table(table.dataset, columns, tuple(rows.values()))


def _score(one: Reference, order: list[str]) -> tuple[bool, str, float, int, str]:
    """Sort key: clean data first, then conditions, levels and scores."""
    # Scores without a place of their own come last, conditions without levels first.
    place = len(order)
    if one.metric in order:
        place = order.index(one.metric)
    return one.condition != "clean", one.condition, float(one.level or "-inf"), place, one.metric


def _title(analysis: Analysis, one: Reference, column: Column) -> str:
    """The name of a published score."""
    title = column.name + ARROWS[column.direction]
    if one.metric == TEST_ERROR:
        title = f"Test error (%){ARROWS[column.direction]}"
    if one.condition == "clean":
        return title

    where = analysis.label(one.condition)
    if one.level:
        where += f", {analysis.level_name(one.condition)} = {one.level}"
    return f"{title} ({where})"


def _notes(one: Reference) -> list[str]:
    """The notes of a value."""
    return [note.strip().rstrip(".") for note in one.notes.split("; ") if note.strip(" .")]


def _group(
    analysis: Analysis, known: Sequence[Reference], notes: list[str], apart: Collection[str]
) -> Group:
    """The rows of one score, ours with as many decimals as their spread or the source has."""
    found = [ours(one, analysis.summaries) for one in known]
    # More than six decimals would only repeat what a source printed with all digits.
    printed = max(len(one.value.partition(".")[2]) for one in known)
    digits = max(decimals(filter(None, found)), min(printed, 6))

    rows = []
    for one, summary in zip(known, found, strict=True):
        seeds = analysis.seeds(one.method)
        difference = ""
        # Published values are of the suite's own settings and data.
        if summary and not summary.lacking and one.method not in apart:
            difference = signed(summary.mean - float(one.value), digits)
        row = Compared(
            method=one.method,
            seeds=seeds,
            ours=cell(summary, seeds.finished, digits),
            published=Cell(one.value, one.spread),
            difference=difference,
            source=one.source,
            certainty=one.certainty,
            notes=tuple(sorted(notes.index(note) + 1 for note in _notes(one))),
            label=analysis.label(one.method),
        )
        rows.append(row)

    column = Column(analysis.cards[known[0].metric], known[0].condition)
    return Group(column, _title(analysis, known[0], column), tuple(rows))
