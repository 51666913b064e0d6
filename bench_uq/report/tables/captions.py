"""Captions of tables and headings of columns, in plain text that each format escapes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench_uq.report.tables.table import Column, Row, Table
from bench_uq.score.labels import ARROWS

BOLD = "Bold: best, or not significantly different from the best"


def heading(column: Column) -> list[str]:
    """The lines above a column: its level, or its title and the line beneath it."""
    if column.level is not None:
        return [f"{column.level:g}"]
    lines = (column.card.heading + ARROWS[column.direction]).split("\n")
    return [*lines, column.under] if column.under else lines


def wrap(name: str, width: int) -> list[str]:
    """Break a long name into lines.

    After a bracket or comma, else after another sign, else at the full width.
    """
    lines, width = [], max(1, width)
    while len(name) > width:
        cut = width
        for signs in ("[,", "=-_/ "):
            last = max((name.rfind(sign, 0, width) for sign in signs), default=-1)
            if last + 1 > width // 3:
                cut = last + 1
                break
        lines.append(name[:cut])
        name = name[cut:]
    return [*lines, name]


def seeds_phrase(counts: Iterable[int]) -> str:
    """Say over how many seeds the means of the finished methods are."""
    counts = [count for count in counts if count]
    if not counts:
        return "no run finished"
    low, high = min(counts), max(counts)
    if high == 1:
        return "one seed, hence no spread"
    return f"mean ± standard deviation over {high if low == high else f'{low}–{high}'} seeds (n)"


def caption(table: Table) -> str:
    """Subject, number of seeds, and an explanation of every mark that the table uses."""
    return " ".join([opening(table), *notes(table), *table.remarks])


def opening(table: Table) -> str:
    """The first sentence of a caption: the subject of the table, and its seeds."""
    if not table.dataset:
        subject = table.subject[:1].upper() + table.subject[1:]
        return f"{subject}; ranked by means over seeds, n counts the runs on all datasets."
    seeds = seeds_phrase(row.seeds.finished for row in table.rows)
    return f"{table.dataset}: {table.subject}; {seeds}."


def notes(table: Table) -> list[str]:
    """A sentence for each mark that the table uses, unconverged runs included."""
    said = []
    if table.compared:
        test = "paired by seed, Holm, 5 %" if table.dataset else "Nemenyi, 5 %"
        said.append(f"{BOLD} ({test}).")
    return [*said, *_on_columns(table.columns), *_on_rows(table.rows)]


def _on_columns(columns: Sequence[Column]) -> list[str]:
    """Sentences on directions and metrics."""
    said = []
    directions = {column.direction for column in columns}
    if "higher" in directions:
        said.append("↑ higher is better.")
    if "lower" in directions:
        said.append("↓ lower is better.")
    explained = dict.fromkeys(column.note for column in columns if column.note)
    return [*said, *explained]


def _on_rows(rows: Sequence[Row]) -> list[str]:
    """Sentences on missing seeds and values, and on convergence."""
    said = []
    cells = [cell for row in rows for cell in row.cells]
    if not all(row.seeds.complete for row in rows):
        said.append("k/p: k of p planned seeds finished.")
    if any(cell.values is not None for cell in cells):
        said.append("(n=k): k of the finished seeds have this value.")
    if not all(cell.mean for cell in cells):
        said.append("–: no value.")

    if loose := unconverged(rows):
        said.append(f"† Not converged: {loose}.")
    unknown = [row.method for row in rows if row.seeds.unknown]
    if unknown:
        said.append(f"Trained elsewhere, convergence unknown: {', '.join(unknown)}.")
    return said


def unconverged(rows: Sequence[Row]) -> str:
    """Say that unconverged methods are not compared, and of how many seeds that is if not of all.

    Empty if all methods had converged.
    """
    loose = [row for row in rows if row.seeds.unconverged]
    if not loose:
        return ""
    counts = []
    for row in loose:
        if row.seeds.unconverged < row.seeds.finished:
            seeds = f"{row.seeds.unconverged} of {row.seeds.finished} seeds"
            counts.append(f"{row.method}: {seeds}")
    return "no ordering is claimed" + (f" ({', '.join(counts)})" if counts else "")


def parted(tables: Sequence[Table]) -> tuple[list[str], list[str]]:
    """Captions of tables that stand together, and the sentences that all of them share."""
    if not tables:
        return [], []
    said = [[*notes(table), *table.remarks] for table in tables]
    shared = [sentence for sentence in said[0] if all(sentence in one for one in said)]

    captions = []
    for table, sentences in zip(tables, said, strict=True):
        own = [sentence for sentence in sentences if sentence not in shared]
        captions.append(" ".join([opening(table), *own]))
    return captions, shared
