"""Captions of tables and headings of columns, in plain text that each format escapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bench_uq.report.tables.provenance import span
from bench_uq.report.tables.stress import BOUND
from bench_uq.report.tables.table import ODD, ODD_ITALIC, Cell, Column, Row, Table
from bench_uq.score.labels import ARROWS

BOLD = "Bold: best, or not significantly different from the best"
#: The same where methods are many.
BEST_ALONE = (
    "Bold: best; italic: significantly worse than the best; others: not "
    "significantly different, or not compared"
)
NO_MEAN = "(k of m): infinite or undefined for k of m seeds, hence no mean."
#: Sentences that are true of any table, which need not be said of each.
_GENERAL = (BOUND, ODD, ODD_ITALIC, NO_MEAN)


def heading(column: Column) -> list[str]:
    """The lines above a column: its level, or its title and the line beneath it."""
    if column.level is not None:
        return [f"{column.level:g}"]
    lines = (column.card.heading + ARROWS[column.direction]).split("\n")
    if column.under:
        lines.append(column.under)
    return lines


def headings(table: Table) -> list[str]:
    """The heading of the column of seeds and those of the scores, each in one line."""
    heads = ["n"]
    for column in table.columns:
        heads.append(" ".join(heading(column)))
    return heads


def wrap(name: str, width: int) -> list[str]:
    """Break a long name into lines.

    After a bracket or comma, else after another sign, else at the full width.
    """
    # A width below 1 would never shorten the name.
    lines, width = [], max(1, width)
    while len(name) > width:
        cut = width
        for signs in ("[,", "=-_/ "):
            last = max(name.rfind(sign, 0, width) for sign in signs)
            # A sign in the first third would leave a line that is nearly empty.
            if last + 1 > width // 3:
                cut = last + 1
                break

        lines.append(name[:cut])
        name = name[cut:]
    return [*lines, name]


def seeds_phrase(table: Table) -> str:
    """Say over how many seeds the means of the finished methods are."""
    # A failed method has no mean: its 0 seeds would make the range wrong.
    counts = [row.seeds.finished for row in table.rows if row.seeds.finished]
    if not counts:
        return "no run finished"

    if max(counts) == 1:
        return "one seed, hence no spread"
    return f"mean ± standard deviation over {span(counts)} seeds (n)"


def caption(table: Table) -> str:
    """Subject, number of seeds, and an explanation of every mark that the table uses."""
    return " ".join([opening(table), *notes(table), *table.remarks])


def opening(table: Table) -> str:
    """The first sentence of a caption: the subject of the table, and its seeds."""
    if not table.dataset:
        # The rest keeps its capitals, which capitalize() would change.
        subject = table.subject[:1].upper() + table.subject[1:]
        return f"{subject}; ranked by means over seeds, n counts the runs on all datasets."
    return f"{table.dataset}: {table.subject}; {seeds_phrase(table)}."


def notes(table: Table) -> list[str]:
    """A sentence for each mark that the table uses, unconverged runs included."""
    said = []
    if table.compared and table.dataset:
        pairs = "paired by seed"
        if table.crossed == table.compared:
            pairs += " and test example"
        elif table.crossed:
            pairs += ", main scores by test example too"
        said.append(f"{BEST_ALONE if table.alone else BOLD} ({pairs}, Holm, 5 %).")
    elif table.compared:
        # Mean ranks across datasets have a critical difference instead of a test per pair.
        said.append(f"{BOLD} (Nemenyi, 5 %).")
    return [*said, *_on_columns(table.columns), *_on_rows(table.columns, table.rows)]


def _on_columns(columns: Sequence[Column]) -> list[str]:
    """Sentences on directions and metrics."""
    directions = set[str]()
    # Several columns of one metric share their note.
    explained = dict[str, None]()
    for column in columns:
        directions.add(column.direction)
        explained[column.note] = None
    explained.pop("", None)

    said = []
    if "higher" in directions:
        said.append("↑ higher is better.")
    if "lower" in directions:
        said.append("↓ lower is better.")
    return [*said, *explained]


def _on_rows(columns: Sequence[Column], rows: Sequence[Row]) -> list[str]:
    """Sentences on missing seeds and values, and on convergence."""
    cells = list[Cell]()
    for row in rows:
        cells += row.cells

    said = []
    if not all(row.seeds.complete for row in rows):
        said.append("k/p: k of p planned seeds finished.")
    if any(cell.values.startswith("n=") for cell in cells):
        said.append("(n=k): k of the finished seeds have this value.")
    if any(" of " in cell.values for cell in cells):
        said.append(NO_MEAN)
    if not all(cell.mean for cell in cells):
        said.append("–: no value.")
        said += _undefined(columns, rows)

    said += _daggers(rows)
    unknown = [row.name for row in rows if row.seeds.unknown]
    if unknown:
        said.append(f"Trained elsewhere, convergence unknown: {', '.join(unknown)}.")
    return said


def _undefined(columns: Sequence[Column], rows: Sequence[Row]) -> list[str]:
    """A sentence for each score with a dash that is undefined for some predictions."""
    reasons = dict[str, None]()
    for place, column in enumerate(columns):
        if column.card.undefined and not all(row.cells[place].mean for row in rows):
            reasons[f"{column.name} has no value if {column.card.undefined}."] = None
    return list(reasons)


def _daggers(rows: Sequence[Row]) -> list[str]:
    """A sentence on the methods with a dagger: what twice the epochs gain, or their own words."""
    marked = []
    for row in rows:
        seeds, reasons = row.seeds, []
        if seeds.unconverged:
            reasons.append(f"by its own diagnosis {seeds.unconverged} of {seeds.finished} seeds")
        if seeds.improving:
            reasons.append(seeds.improving)
        if reasons:
            marked.append(f"{row.name} ({'; '.join(reasons)})")

    return [f"† Not converged: {', '.join(marked)}."] if marked else []


def parted(tables: Sequence[Table]) -> tuple[list[list[str]], list[str]]:
    """The sentences beneath each of several tables alone, and those that are said once for them.

    These are the sentences of all tables, and of those that hold for any table the ones of two.
    """
    if not tables:
        return [], []

    said = [[*notes(table), *table.remarks] for table in tables]
    counts = Counter[str]()
    for sentences in said:
        counts.update(list(dict.fromkeys(sentences)))

    shared = list[str]()
    for sentence, count in counts.items():
        if count == len(said) or (sentence in _GENERAL and count > 1):
            shared.append(sentence)

    own = list[list[str]]()
    for sentences in said:
        own.append([sentence for sentence in sentences if sentence not in shared])
    return own, shared
