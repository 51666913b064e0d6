"""The table of deep ensemble equivalents on one dataset."""

from __future__ import annotations

import math
from dataclasses import replace

from bench_uq.report.tables.table import Cell, Column, Row, Table, cell
from bench_uq.score.analysis import Analysis
from bench_uq.score.equivalent import METRICS, Equivalent
from bench_uq.score.labels import in_words
from bench_uq.score.rounding import decimals, fixed
from bench_uq.score.summaries import costs

#: What a seed beyond the curve means.
BOUNDS = (
    "<, >: some seeds are worse than one network, or better than all, and count as the nearer end; "
    "a range: some seeds are the one and some the other."
)


def equivalent_table(analysis: Analysis) -> Table | None:
    """Networks of an ensemble that equal each method, and its cost; None without an ensemble."""
    found = analysis.equivalents
    if found is None or not found.found:
        return None

    columns = []
    for metric in METRICS:
        if any(name == metric for _, name in found.found):
            card = analysis.cards[metric]
            heading = f"Networks, by\n{in_words(card.heading)}"
            own = replace(card, id=f"equivalent_{metric}", short=heading, direction="higher")
            columns.append((metric, Column(own, "equivalent")))

    seconds = costs(analysis.results, ["train_seconds"])
    spent = replace(analysis.cards["train_seconds"], short="Training\n(s)")
    paid = {method: one for (method, *_), one in seconds.items()}
    rows = []
    for method in analysis.methods:
        own_cells = found.of(method)
        # The ensemble itself, and methods without a finite NLL, have none.
        if not own_cells:
            continue
        cells = [equivalent_cell(own_cells.get(metric)) for metric, _ in columns]
        finished = analysis.seeds(method).finished
        cells.append(cell(paid.get(method), finished, decimals(paid.values())))
        rows.append(Row(method, analysis.seeds(method), tuple(cells), analysis.label(method)))

    subject = (
        f"networks, of the {found.networks} of {analysis.label(found.ensemble)}, whose ensemble "
        "has the same NLL (deep ensemble equivalent)"
    )
    line = "The NLL of fewer networks is a mean over subsets and seeds, and lines between them."
    remarks = [line]
    if any(one.below or one.above for one in found.found.values()):
        remarks.append(BOUNDS)
    every = (*(column for _, column in columns), Column(spent, "cost"))
    dataset = analysis.label(analysis.dataset)
    return Table(dataset, every, tuple(rows), subject, tuple(remarks))


def equivalent_cell(one: Equivalent | None) -> Cell:
    """A mean with its spread, or the bound that it is."""
    if one is None:
        return Cell()
    if one.below and one.above:
        return Cell(f"{fixed(min(one.values), 1)} to {fixed(max(one.values), 1)}")

    mean, spread = fixed(one.mean, 1), ""
    if one.below:
        mean = f"< {mean}"
    elif one.above:
        mean = f"> {mean}"
    elif not math.isnan(one.sd):
        spread = fixed(one.sd, 1)
    return Cell(mean, spread)
