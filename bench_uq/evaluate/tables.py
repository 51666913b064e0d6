"""Scores with their intervals as text, HTML and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol

from bench_uq.api.errors import unknown
from bench_uq.api.metric import Metric
from bench_uq.evaluate.shown import place_of
from bench_uq.score.labels import ARROWS


class Scored(Protocol):
    """A score in a table."""

    @property
    def condition(self) -> str:
        """Name of a condition."""

    @property
    def level(self) -> float | None:
        """Level, if the condition has levels."""

    @property
    def metric(self) -> str:
        """Id of a metric."""

    @property
    def value(self) -> float:
        """The score."""

    @property
    def low(self) -> float:
        """Lower end of its interval, or NaN."""

    @property
    def high(self) -> float:
        """Upper end of its interval, or NaN."""


@dataclass(frozen=True)
class Grid:
    """Cells of text, a row per condition and level, a column per metric."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def grid(
    scores: Sequence[Scored], cards: Mapping[str, Metric], metrics: Sequence[str] = ()
) -> Grid:
    """Arrange the scores of some metrics, by default of those in tables of clean and OOD data."""
    known = {score.metric for score in scores}
    for metric in metrics:
        if metric not in known:
            raise unknown("metric", metric, known)
    chosen = [one for one in metrics or main(cards) if one in known]

    rows = dict[str, dict[str, str]]()
    for score in scores:
        rows.setdefault(place_of(score.condition, score.level), {})[score.metric] = cell(score)

    cells = []
    for key, row in rows.items():
        cells.append((key, *(row.get(metric, "") for metric in chosen)))
    headings = ["condition"]
    for metric in chosen:
        heading = " ".join([*cards[metric].heading.split("\n"), cards[metric].by]).strip()
        headings.append(f"{heading}{ARROWS[cards[metric].direction]}")
    return Grid(tuple(headings), tuple(cells))


def main(cards: Mapping[str, Metric]) -> list[str]:
    """Metrics of the tables of clean and out-of-distribution data, in the order of those."""
    placed = []
    for metric in cards.values():
        place = metric.shown.clean if metric.shown.clean is not None else metric.shown.unseen
        if place is not None:
            placed.append((metric.shown.clean is None, place, metric.id))
    return [id for _, _, id in sorted(placed)]


def cell(score: Scored) -> str:
    """A score with three digits after the point and its interval, or a dash."""
    if math.isnan(score.value):
        return "–"
    text = number(score.value)
    if math.isnan(score.low):
        return text
    return f"{text} [{number(score.low)}, {number(score.high)}]"


def number(value: float) -> str:
    """Three decimals, or three significant digits of large numbers."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.3g}"


def text(grid: Grid, title: str, remarks: Sequence[str]) -> str:
    """The table for a terminal: metrics below one another, since intervals are wide."""
    columns = list(zip(grid.headings, *grid.rows, strict=True))
    widths = [max(map(len, parts)) for parts in zip(*columns, strict=True)]
    lines = [title]
    for parts in columns:
        padded = [part.ljust(width) for part, width in zip(parts, widths, strict=True)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join([*lines, *remarks])


def html(grid: Grid, title: str, remarks: Sequence[str]) -> str:
    """The table for a notebook."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in grid.headings)
    lines = [f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>"]
    for name, *cells in grid.rows:
        body = "".join(f"<td>{escape(one)}</td>" for one in cells)
        lines.append(f"<tr><th>{escape(name)}</th>{body}</tr>")
    lines.append("</tbody></table>")
    lines += [f"<p>{escape(remark)}</p>" for remark in remarks]
    return "\n".join(lines)


def latex(grid: Grid) -> str:
    """The table for a paper that uses booktabs."""
    # Here, because reports load SciPy's statistics, which takes seconds.
    from bench_uq.report import latex_text

    lines = [r"\begin{tabular}{l" + "r" * len(grid.rows) + "}", r"\toprule"]
    # Metrics below one another, as in a terminal: with intervals they are wider than a page.
    for index, row in enumerate(zip(grid.headings, *grid.rows, strict=True)):
        lines.append(" & ".join(map(latex_text.escape, row)) + r" \\")
        if index == 0:
            lines.append(r"\midrule")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])
