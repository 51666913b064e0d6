"""What stands above tables and beside methods, in plain text that each format then escapes."""

from __future__ import annotations

from bench_uq.report.tables import Column, Row, Table

ARROWS = {"higher": " ↑", "lower": " ↓", "none": ""}
#: What the level of an attack is called; any other condition has a level.
LEVEL_NAMES = {"fgsm": "ε", "pgd": "ε", "transfer": "ε"}


def level_name(condition: str) -> str:
    """Return what the level of a condition is called on an axis."""
    return LEVEL_NAMES.get(condition.partition("[")[0], "level")


def heading(column: Column) -> list[str]:
    """Return the lines above a column: the level where it has one, else the title and the unseen data."""
    if column.level is not None:
        return [f"{column.level:g}"]
    unseen = [] if column.condition == "clean" else [column.condition]
    return [*(column.title + ARROWS[column.direction]).split("\n"), *unseen]


def wrap(name: str, width: int) -> list[str]:
    """Break a long name into lines: after a bracket or comma, else after another sign, else where the line is full."""
    lines = []
    while len(name) > width:
        cuts = [[place + 1 for place, sign in enumerate(name[:width]) if sign in signs] for signs in ("[,", "=-_/ ")]
        cut = next((max(places) for places in cuts if places and max(places) > width // 3), width)
        lines.append(name[:cut])
        name = name[cut:]
    return [*lines, name]


def seeds_phrase(counts: list[int]) -> str:
    """Say over how many seeds the means of the finished methods are."""
    counts = [count for count in counts if count]
    if not counts:
        return "no run finished"
    if max(counts) == 1:
        return "one seed, hence no spread"
    low, high = min(counts), max(counts)
    return f"mean ± standard deviation over {high if low == high else f'{low}–{high}'} seeds (n)"


def caption(table: Table) -> str:
    """Return the caption of a table: what it shows, over how many seeds, and what its marks mean."""
    sentences = [f"{_subject(table)}; {seeds_phrase([row.seeds.finished for row in table.rows])}.", *notes(table)]
    return " ".join(sentences)


def notes(table: Table) -> list[str]:
    """Return a sentence for each mark that the table uses, unconverged runs included."""
    metrics = {column.metric for column in table.columns}
    cells = [cell for row in table.rows for cell in row.cells]
    unknown = [row.method for row in table.rows if row.seeds.unknown]
    signs = {ARROWS[column.direction].strip() for column in table.columns}
    said = {
        "↑ higher is better.": "↑" in signs,
        "↓ lower is better.": "↓" in signs,
        "ECE (calibrated): what a perfectly calibrated model would show for as many examples.": "ece" in metrics,
        "AUROC: unseen against clean data by predictive entropy.": "auroc_entropy" in metrics,
        "k/p: k of p planned seeds finished.": not all(row.seeds.complete for row in table.rows),
        "(n=k): k of the finished seeds have this value.": any(cell.values is not None for cell in cells),
        "–: no value.": not all(cell.mean for cell in cells),
        f"† Not converged, so that no ordering is claimed: {unconverged(table.rows)}.": bool(unconverged(table.rows)),
        f"Trained elsewhere, convergence unknown: {', '.join(unknown)}.": bool(unknown),
    }
    return [sentence for sentence, holds in said.items() if holds]


def unconverged(rows: tuple[Row, ...]) -> str:
    """Return the methods with runs that had not converged, and how many of their seeds."""
    return ", ".join(
        f"{row.method} ({row.seeds.unconverged} of {row.seeds.finished} seeds)" for row in rows if row.seeds.unconverged
    )


def _subject(table: Table) -> str:
    """Say what the columns of a table are."""
    first = table.columns[0]
    if first.level is None:
        unseen = any(column.condition != "clean" for column in table.columns)
        return f"{table.dataset}: clean{' and unseen' if unseen else ''} data"
    title = first.title.lower() + ARROWS[first.direction]
    return f"{table.dataset}: {title} under {first.condition}, by {level_name(first.condition)}"
