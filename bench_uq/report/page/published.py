"""The section of a page with published values beside ours."""

from __future__ import annotations

from html import escape

from bench_uq.report.page.elements import ROW, each, section, table
from bench_uq.report.page.tables import cell_html
from bench_uq.report.tables.published import Comparison, comparison, legend
from bench_uq.score.analysis import Analysis

_HEADS = (
    "Method",
    "Score",
    "n",
    "Ours",
    "Published",
    "Difference",
    "Source",
    "Certainty",
    "Notes",
)


def published_section(analysis: Analysis) -> str:
    """The section with a table for each dataset; empty where nothing was published."""
    body = ""
    for dataset in analysis.datasets:
        shown = comparison(analysis.on(dataset))
        if shown is not None:
            body += _table(analysis.label(dataset), shown)
    return section("published", "Ours against published", body) if body else ""


def _table(dataset: str, shown: Comparison) -> str:
    """The table of one dataset, the notes on protocols and marks folded beneath."""
    rows = ""
    for group in shown.groups:
        for row in group.rows:
            name = escape(row.name) + (" †" if row.seeds.marked else "")
            cells = [escape(group.title), str(row.seeds), cell_html(row.ours)]
            cells += [cell_html(row.published), escape(row.difference or "–")]
            cells += [escape(row.source), escape(row.certainty), ", ".join(map(str, row.notes))]
            # A source is long: it may break.
            own = each("td", cells[:5]) + each('td class="reason"', cells[5:6])
            rows += f"<tr>{each(ROW, [name])}{own}{each('td', cells[6:])}</tr>"

    notes = list(map(escape, legend(shown)))
    for place, note in enumerate(shown.notes, start=1):
        notes.append(f"{place}. {escape(note)}")
    listed = f'<ul class="notes">{each("li", notes)}</ul>'
    folded = f'<details class="fine"><summary>Notes</summary>{listed}</details>'
    return table(f"{dataset}: ours and published values", _HEADS, rows) + folded
