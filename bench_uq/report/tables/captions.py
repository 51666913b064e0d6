"""What stands above tables and beside methods, in plain text that each format then escapes."""

from __future__ import annotations

from collections.abc import Sequence

from bench_uq.report.tables.cells import Column, Row, Table
from bench_uq.score.labels import ARROWS, counted, level_name

__all__ = [
    "ARROWS",
    "caption",
    "counted",
    "heading",
    "level_name",
    "notes",
    "parted",
    "seeds_phrase",
    "unconverged",
    "wrap",
]


def heading(column: Column) -> list[str]:
    """Return the lines above a column: the level where it has one, else the title and what stands beneath it."""
    if column.level is not None:
        return [f"{column.level:g}"]
    under = [column.under] if column.under else []
    return [*(column.title + ARROWS[column.direction]).split("\n"), *under]


def wrap(name: str, width: int) -> list[str]:
    """Break a long name into lines: after a bracket or comma, else after another sign, else where the line is full."""
    lines, width = [], max(1, width)
    while len(name) > width:
        cuts = [
            [place + 1 for place, sign in enumerate(name[:width]) if sign in signs]
            for signs in ("[,", "=-_/ ")
        ]
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
    """Return the caption: what the table shows, over how many seeds, what its marks mean and how the runs were made."""
    return " ".join([f"{_subject(table)}; {_seeds(table)}.", *notes(table), *table.remarks])


def notes(table: Table) -> list[str]:
    """Return a sentence for each mark that the table uses, unconverged runs included."""
    metrics = {column.metric for column in table.columns}
    under = {column.under for column in table.columns}
    cells = [cell for row in table.rows for cell in row.cells]
    unknown = [row.method for row in table.rows if row.seeds.unknown]
    signs = {ARROWS[column.direction].strip() for column in table.columns}
    loose = unconverged(table.rows)
    several = "Bold: the best, and all that cannot be told apart from it "
    said = {
        f"{several}(paired by seed, Holm, 5 %).": table.compared and bool(table.dataset),
        f"{several}(Nemenyi, 5 %).": table.compared and not table.dataset,
        "↑ higher is better.": "↑" in signs,
        "↓ lower is better.": "↓" in signs,
        "ECE (calibrated): what a perfectly calibrated model would show for as many examples.": "ece"
        in metrics
        and "ece_if_calibrated" in metrics,
        "AUROC: told from clean data by predictive entropy.": "auroc_entropy" in metrics
        and "entropy" not in under,
        "80 % kept: the 20 % of the highest predictive entropy are refused.": "accuracy_kept_80"
        in metrics,
        "AUROC of errors: wrong predictions told from right ones by predictive entropy; chance is 0.5.": (
            "auroc_errors_entropy" in metrics
        ),
        "MI: mutual information of label and draw, none where draws do not differ.": "MI" in under,
        "1 – max p: of the mean probabilities.": "MI" in under,
        "Unseen data are the positive class.": "MI" in under,
        "k/p: k of p planned seeds finished.": not all(row.seeds.complete for row in table.rows),
        "(n=k): k of the finished seeds have this value.": any(
            cell.values is not None for cell in cells
        ),
        "–: no value.": not all(cell.mean for cell in cells),
        f"† Not converged: {loose}.": bool(loose),
        f"Trained elsewhere, convergence unknown: {', '.join(unknown)}.": bool(unknown),
    }
    return [sentence for sentence, holds in said.items() if holds]


def parted(tables: Sequence[Table]) -> tuple[list[str], list[str]]:
    """Return captions of tables that stand together, and the sentences that all of them share, to be said once."""
    said = [[*notes(table), *table.remarks] for table in tables]
    shared = (
        [sentence for sentence in said[0] if all(sentence in one for one in said)] if said else []
    )
    captions = [
        " ".join(
            [
                f"{_subject(table)}; {_seeds(table)}.",
                *(one for one in sentences if one not in shared),
            ]
        )
        for table, sentences in zip(tables, said, strict=True)
    ]
    return captions, shared


def _subject(table: Table) -> str:
    """Say what a table is of."""
    return (
        f"{table.dataset}: {table.subject}"
        if table.dataset
        else table.subject[:1].upper() + table.subject[1:]
    )


def _seeds(table: Table) -> str:
    """Say over what the means are."""
    if not table.dataset:
        return "ranked by means over seeds, n counts the runs on all datasets"
    return seeds_phrase([row.seeds.finished for row in table.rows])


def unconverged(rows: tuple[Row, ...]) -> str:
    """Say of how many seeds that is, where it is not of all; empty without a method that had not converged."""
    loose = [row for row in rows if row.seeds.unconverged]
    some = [row for row in loose if row.seeds.unconverged < row.seeds.finished]
    counts = ", ".join(
        f"{row.method}: {row.seeds.unconverged} of {row.seeds.finished} seeds" for row in some
    )
    return ("no ordering is claimed" + (f" ({counts})" if counts else "")) if loose else ""
