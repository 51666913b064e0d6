"""Tables of a page that need no script: for readers without one, and of what is averaged over levels."""

from __future__ import annotations

from html import escape

from bench_uq.report.tables.captions import caption, heading, parted
from bench_uq.report.tables.cells import Cell, Table
from bench_uq.report.tables.stress import stress_tables
from bench_uq.score.analysis import Analysis


def static(table: Table, said: str = "") -> str:
    """Return a table with its caption, or with what is ``said`` in place of it."""
    heads = ["Method", "n", *(" ".join(heading(column)) for column in table.columns)]
    rows = [
        [
            row.method + (" †" if row.seeds.unconverged else ""),
            str(row.seeds),
            *map(_cell, row.cells),
        ]
        for row in table.rows
    ]
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th><td>{escape(seeds)}</td>'
        f"{''.join(f'<td>{text}</td>' for text in rest)}</tr>"
        for first, seeds, *rest in rows
    )
    text = escape(said or caption(table))
    return (
        f'<div class="scroll"><table><caption>{text}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def stress(analysis: Analysis) -> str:
    """Return the section of the means over levels, with a table for each family; empty where nothing has levels."""
    tables = [
        table
        for dataset in analysis.datasets
        for table in stress_tables(analysis.on(dataset)).values()
    ]
    if not tables:
        return ""
    captions, shared = parted(tables)
    shown = "".join(static(table, said) for table, said in zip(tables, captions, strict=True))
    notes = "".join(f"<li>{escape(sentence)}</li>" for sentence in shared)
    return f"""<section id="stress" aria-labelledby="stress-title">
<h2 id="stress-title">What the uncertainty is worth under stress</h2>
<p class="hint">Means over the levels of each attack and shift; the leaderboard has every level, and a method's curves
show them.</p>
{shown}
<ul class="notes">{notes}</ul>
</section>
"""


def _cell(cell: Cell) -> str:
    """Return a number with its spread, as HTML, and its number of values where seeds lack it."""
    mean = f"<strong>{escape(cell.mean)}</strong>" if cell.best else escape(cell.mean)
    spread = f" ± {cell.spread}" if cell.spread else ""
    values = f" (n={cell.values})" if cell.values is not None else ""
    return f"{mean}{escape(spread + values)}" if cell.mean else "–"
