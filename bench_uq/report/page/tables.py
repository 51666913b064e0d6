"""Tables of a page that need no script."""

from __future__ import annotations

from html import escape

from bench_uq.report.tables.captions import caption, heading, parted
from bench_uq.report.tables.stress import stress_tables
from bench_uq.report.tables.table import Cell, Row, Table
from bench_uq.score.analysis import Analysis


def static(table: Table, text: str = "") -> str:
    """A table with a text above it, by default its caption."""
    heads = ["Method", "n", *(" ".join(heading(column)) for column in table.columns)]
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in heads)
    body = "".join(map(_row, table.rows))
    return (
        f'<div class="scroll"><table><caption>{escape(text or caption(table))}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(row: Row) -> str:
    """The row of a method."""
    name = row.method + (" †" if row.seeds.unconverged else "")
    cells = "".join(f"<td>{_cell(cell)}</td>" for cell in row.cells)
    return f'<tr><th scope="row">{escape(name)}</th><td>{row.seeds}</td>{cells}</tr>'


def stress_section(analysis: Analysis) -> str:
    """The section of the means over levels; empty if no condition has levels."""
    tables = list[Table]()
    for dataset in analysis.datasets:
        tables += stress_tables(analysis.on(dataset)).values()
    if not tables:
        return ""

    captions, shared = parted(tables)
    shown = "".join(map(static, tables, captions))
    notes = "".join(f"<li>{escape(sentence)}</li>" for sentence in shared)
    return f"""<section id="stress" aria-labelledby="stress-title">
<h2 id="stress-title">Quality of the uncertainty under attack and shift</h2>
<p class="hint">Means over the levels of each attack and shift; the leaderboard has every level, and
a method's curves show them.</p>
{shown}
<ul class="notes">{notes}</ul>
</section>
"""


def _cell(cell: Cell) -> str:
    """A mean with its spread, and its number of values if some seeds lack it."""
    if not cell.mean:
        return "–"
    mean = f"<strong>{escape(cell.mean)}</strong>" if cell.best else escape(cell.mean)
    spread = f" ± {cell.spread}" if cell.spread else ""
    values = f" (n={cell.values})" if cell.values is not None else ""
    return f"{mean}{escape(spread + values)}"
