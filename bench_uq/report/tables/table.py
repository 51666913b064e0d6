"""Tables without a format: columns of scores, rows of methods, cells rounded as they deserve."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench_uq.api.metric import Metric
from bench_uq.report.tables.provenance import provenance
from bench_uq.score.analysis import Analysis
from bench_uq.score.results import Seeds
from bench_uq.score.rounding import decimals, fixed
from bench_uq.score.summaries import Place, Scored, Summary

#: The condition of columns of ranks.
RANKS = "ranks"
#: Costs that are counted, not measured: they have no spread unless seeds differ.
COUNTED = ("parameters", "epochs", "draws")
#: Methods that are marked by the usual rule. Of more, few seeds leave most of a column not
#: significantly different from its best: were all of these in bold, bold would say nothing.
MOST_BOLD = 8
#: Said beneath a table in which the bold cells look like a mistake.
ODD = (
    "A mean in bold may be worse than one that is not: it varies more from seed to seed, "
    "or the other is not compared."
)
#: The same of cells in italics.
ODD_ITALIC = (
    "A mean in italics may be better than one that is not: the other varies more from seed to "
    "seed, or is not compared."
)


@dataclass(frozen=True)
class Column:
    """One score: the card of its metric, where it was measured, and a line beneath its title."""

    card: Metric
    condition: str
    level: float | None = None
    under: str = ""

    @property
    def metric(self) -> str:
        """The id of the metric."""
        return self.card.id

    @property
    def name(self) -> str:
        """The heading in one line."""
        return self.card.heading.replace("\n", " ")

    @property
    def direction(self) -> str:
        """Whether ``higher`` or ``lower`` is better, or ``none``."""
        # A lower rank is always better, which the subject of the table says.
        if self.condition == RANKS:
            return "none"
        return self.card.direction

    @property
    def note(self) -> str:
        """A sentence that explains the score; which one depends on the line beneath the title."""
        if self.under and self.under == self.card.by:
            return self.card.by_note
        return self.card.note

    @property
    def scored(self) -> Scored:
        """The score as comparisons name it."""
        return self.condition, self.level, self.metric


@dataclass(frozen=True)
class Cell:
    """A rounded mean, its spread (empty for one seed), and how many seeds it is of if not of all.

    A difference has an ``interval`` in place of a spread, such as "-0.3, 0.1".

    ``values`` is "n=k" if k seeds have the score. If it is infinite or undefined for k of m seeds,
    there is no mean: ``mean`` is ∞ or empty, and ``values`` "k of m".

    ``best`` marks the best, and all that do not differ from it significantly. Among many methods
    it marks the best alone, and ``worse`` those that are significantly worse.
    """

    mean: str = ""
    spread: str = ""
    values: str = ""
    best: bool = False
    interval: str = ""
    worse: bool = False

    @property
    def beside(self) -> str:
        """The spread or interval, and the number of values if some seeds lack the score."""
        text = ""
        if self.spread:
            text = f" ± {self.spread}"
        if self.interval:
            text = f" [{self.interval}]"
        if self.values:
            text += f" ({self.values})"
        return text


@dataclass(frozen=True)
class Row:
    """One method: its seeds and a cell for each column."""

    method: str
    seeds: Seeds
    cells: tuple[Cell, ...]
    label: str = ""  # as readers see it; empty: its name

    @property
    def name(self) -> str:
        """The method as readers see it."""
        return self.label or self.method


@dataclass(frozen=True)
class Table:
    """Rows under columns; every format shows the same numbers and the same missing values.

    ``remarks`` are further sentences; ``compared`` counts the columns whose methods are compared,
    ``crossed`` those of them that are compared for new test examples too.
    """

    dataset: str  # empty: across datasets
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    subject: str = ""
    remarks: tuple[str, ...] = ()
    compared: int = 0
    crossed: int = 0
    noun: str = "method"  # what a row is
    alone: bool = False  # whether only the best is in bold, because methods are many


def filled(
    analysis: Analysis,
    subject: str,
    columns: Iterable[Column],
    methods: Sequence[str],
    costs: Mapping[Place, Summary] | None = None,
) -> Table:
    """Fill a table of methods on one dataset with their scores, or with their costs."""
    columns = tuple(columns)
    # Costs are never compared: their condition is in no comparison.
    summaries = costs or analysis.summaries
    cells: dict[str, list[Cell]] = {name: [] for name in methods}
    odd, compared, crossed = False, 0, 0
    for column in columns:
        blank = analysis.unjudged.get(column.metric, ())
        own = {}
        for name in methods:
            summary = summaries.get((name, column.condition, column.level, column.metric))
            if summary and name not in blank:
                own[name] = summary

        marked = marks(analysis, column.scored)
        if column.scored in analysis.comparisons:
            compared += 1
            crossed += analysis.comparisons[column.scored].crossed
        odd |= _is_odd(column, own, marked, best_alone(analysis))
        digits = decimals(own.values())
        if column.metric in COUNTED:
            digits = 0
        for name in methods:
            finished = analysis.seeds(name).finished
            cells[name].append(marked.on(name, cell(own.get(name), finished, digits)))

    rows = list[Row]()
    for name in methods:
        rows.append(Row(name, analysis.seeds(name), tuple(cells[name]), analysis.label(name)))
    remarks = provenance(analysis.results)
    if odd:
        remarks.insert(0, ODD_ITALIC if best_alone(analysis) else ODD)
    dataset = analysis.label(analysis.dataset)
    said, alone = tuple(remarks), best_alone(analysis)
    return Table(dataset, columns, tuple(rows), subject, said, compared, crossed, alone=alone)


@dataclass(frozen=True)
class Marks:
    """The methods in bold at a score, and those in italics; none where nothing is compared."""

    best: tuple[str, ...] = ()
    worse: tuple[str, ...] = ()

    def on(self, method: str, cell: Cell) -> Cell:
        """The cell of a method with its mark."""
        return replace(cell, best=method in self.best, worse=method in self.worse)


def best_alone(analysis: Analysis) -> bool:
    """Whether methods are so many that only the best is in bold, and the worse are in italics."""
    return len(analysis.methods) > MOST_BOLD


def marks(analysis: Analysis, scored: Scored) -> Marks:
    """The best method at a score and those not significantly worse; of many the best alone."""
    comparison = analysis.comparisons.get(scored)
    if comparison is None:
        return Marks()
    if best_alone(analysis):
        return Marks((comparison.best,), tuple(comparison.worse))
    return Marks(comparison.tied)


def _is_odd(column: Column, own: Mapping[str, Summary], marked: Marks, alone: bool) -> bool:
    """Whether a mean in bold is worse than one that is not: a large spread is hard to beat.

    Where the best ``alone`` is in bold, whether one in italics is better than one that is not.
    """
    behind = marked.worse if alone else set(own).difference(marked.best)
    others = [one.mean for name, one in own.items() if name not in behind]
    last = [one.mean for name, one in own.items() if name in behind and not one.lacking]
    if not others or not last:
        return False

    if column.direction == "higher":
        return max(last) > min(others)
    return min(last) < max(others)


def extent(analysis: Analysis, condition: str) -> str:
    """Number of examples of a condition in brackets; empty if unknown or not always the same."""
    counts = set()
    for (_, name, _, metric), one in analysis.summaries.items():
        if (name, metric) == (condition, "examples") and not one.lacking:
            counts |= {int(one.low), int(one.high)}

    # Seeds or methods on other numbers of examples have no number in common.
    if len(counts) != 1:
        return ""
    return f" ({counts.pop():,} examples)"


def cell(summary: Summary | None, finished: int, digits: int) -> Cell:
    """Round one score; say how many seeds it rests on if some finished runs lack it."""
    if summary is None:
        return Cell()

    spread = values = mean = ""
    if not math.isnan(summary.mean):
        mean = fixed(summary.mean, digits)
    # A count that is the same with every seed has no spread to show.
    if math.isfinite(summary.sd) and (summary.sd > 0 or digits > 0):
        spread = fixed(summary.sd, digits)
    if summary.lacking:
        if summary.seeds:
            values = f"{summary.lacking} of {summary.seeds + summary.lacking}"
    elif summary.seeds != finished:
        values = f"n={summary.seeds}"
    return Cell(mean, spread, values)
