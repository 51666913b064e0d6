"""Tables of a page that need no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bench_uq.report.page.elements import ROW, each, section, table
from bench_uq.report.page.figures import Images, thumbs
from bench_uq.report.tables.captions import caption, headings, opening, parted
from bench_uq.report.tables.equivalent import equivalent_table
from bench_uq.report.tables.overview import condition_tables
from bench_uq.report.tables.ranks import rank_table
from bench_uq.report.tables.stress import stress_tables
from bench_uq.report.tables.table import Cell, Row, Table
from bench_uq.report.tables.tables import cost_table, ood_tables
from bench_uq.report.tables.tuning import Tuning, tuning
from bench_uq.score.analysis import Analysis

#: Methods that stand beside one another; more have a row each.
_MOST_BESIDE = 10


def static(shown: Table, text: str = "") -> str:
    """A table with a text above it, by default its caption."""
    return table(
        text or caption(shown),
        [shown.noun.capitalize(), *headings(shown)],
        each("tr", map(_row, shown.rows)),
    )


def _row(row: Row) -> str:
    """The cells of a method."""
    name = escape(row.name)
    if row.seeds.marked:
        name += " †"
    return each(ROW, [name]) + each("td", [str(row.seeds), *map(cell_html, row.cells)])


def stress_section(analysis: Analysis) -> str:
    """The section of the means over levels; empty if no condition has levels."""
    tables, several = list[Table](), False
    for dataset in analysis.datasets:
        own = analysis.on(dataset)
        tables += stress_tables(own).values()
        several |= any(one.only is None for one in own.families)
    if not tables:
        return ""

    means = """\
<p class="hint">Means over the levels of each attack and shift; the leaderboard has every level, and
a method's curves show them.</p>
"""
    body = f"""{means if several else ""}\
{"".join(map(static, tables, map(opening, tables)))}
{_folded(tables)}"""
    return section("stress", "Quality of the uncertainty under attack and shift", body)


def ood_section(analysis: Analysis) -> str:
    """The section of detection scores; empty without out-of-distribution data."""
    tables = list[Table]()
    for dataset in analysis.datasets:
        tables += ood_tables(analysis.on(dataset))
    return _together("ood", "Out-of-distribution detection", tables)


def cost_section(analysis: Analysis) -> str:
    """The section of costs."""
    tables = [cost_table(analysis.on(dataset)) for dataset in analysis.datasets]
    return _together("cost", "Cost", tables)


def ranks_section(analysis: Analysis, images: Images) -> str:
    """The section of mean ranks with their diagram; empty without several datasets."""
    ranks = rank_table(analysis)
    if ranks is None:
        return ""
    shown = {key: image for key, image in images.items() if key[1].startswith("ranks")}
    return section("ranks", "Ranks across datasets", static(ranks) + thumbs(shown))


def _together(name: str, title: str, tables: Sequence[Table]) -> str:
    """A section of several tables, their notes folded beneath; empty without tables."""
    if not tables:
        return ""
    shown = "".join(map(static, tables, map(opening, tables)))
    return section(name, title, f"{shown}\n{_folded(tables)}")


def equivalent_section(analysis: Analysis) -> str:
    """The section of deep ensemble equivalents; empty without an ensemble."""
    tables = [equivalent_table(analysis.on(dataset)) for dataset in analysis.datasets]
    body = "".join(static(one) for one in tables if one is not None)
    return section("equivalent", "Deep ensemble equivalent", body) if body else ""


def conditions_section(analysis: Analysis) -> str:
    """The section of conditions by methods; empty if there is one condition alone."""
    tables = list[Table]()
    for dataset in analysis.datasets:
        tables += condition_tables(analysis.on(dataset)).values()
    if not tables:
        return ""

    # A page has more room below than beside.
    many = len(tables[0].columns) > _MOST_BESIDE
    shown = map(_turned if many else static, tables, map(opening, tables))
    body = f"{''.join(shown)}\n{_folded(tables)}"
    title = "Methods by conditions" if many else "Conditions by methods"
    return section("conditions", title, body)


def _folded(tables: Sequence[Table]) -> str:
    """The notes on several tables, which open by a click: those of a table by its subject."""
    each_own, shared = parted(tables)
    notes = [escape(sentence) for sentence in shared]
    for own, shown in zip(each_own, tables, strict=True):
        if own:
            subject, *_ = opening(shown).split("; ")
            notes.append(f"<strong>{escape(subject)}</strong>: {escape(' '.join(own))}")
    listed = f'<ul class="notes">{each("li", notes)}</ul>'
    return f'<details class="fine"><summary>Notes</summary>{listed}</details>' if notes else ""


def _turned(shown: Table, text: str) -> str:
    """A table of conditions by methods with a row for each method."""
    rows = ""
    for place, method in enumerate(headings(shown)[1:]):
        own = [cell_html(row.cells[place]) for row in shown.rows]
        rows += f"<tr>{each(ROW, [escape(method)])}{each('td', own)}</tr>"
    heads = ["Method"]
    for row in shown.rows:
        heads.append(f"{row.name} (n = {row.seeds})")
    return table(text, heads, rows)


def tuning_section(analysis: Analysis) -> str:
    """The section of the trials by which methods were tuned; empty for a suite at its defaults."""
    tables = [tuning(analysis.on(dataset)) for dataset in analysis.datasets]
    body = "".join(_tuned(one) for one in tables if one is not None)
    if not body:
        return ""

    hint = '<p class="hint">A method\'s curves show how the best improves with more trials.</p>'
    return section("tuning", "How the methods were tuned", f"{hint}\n{body}")


def _tuned(shown: Tuning) -> str:
    """The chosen trials on one dataset, and the differences that they make."""
    rows = ""
    for place, one in enumerate(shown.choices):
        numbers = [one.trials, one.seconds, one.default_nll or "–", one.chosen_nll]
        cells = each(ROW, [escape(one.method)]) + each('td class="reason"', [escape(one.chosen)])
        cells += each("td", map(escape, numbers))
        if shown.differences is not None:
            own = shown.differences.rows[place]
            cells += each("td", [str(own.seeds), *map(cell_html, own.cells)])
        rows += f"<tr>{cells}</tr>"
    heads = [head[:1].upper() + head[1:] for head in ["method", *shown.heads]]
    return table(shown.caption, heads, rows)


def cell_html(cell: Cell) -> str:
    """A mean with its spread, and its number of values if some seeds lack it."""
    mean = escape(cell.mean or "–")
    if cell.best:
        mean = f"<strong>{mean}</strong>"
    elif cell.worse:
        mean = f"<em>{mean}</em>"
    return mean + escape(cell.beside)
