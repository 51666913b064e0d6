"""The overview of a page: methods by questions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bench_uq.report.page.cost_chart import cost_chart
from bench_uq.report.page.elements import COLUMN, ROW, each, section
from bench_uq.report.page.leaderboard import measured
from bench_uq.report.tables.captions import heading, notes
from bench_uq.report.tables.overview import by_questions
from bench_uq.report.tables.table import Table
from bench_uq.score.analysis import Analysis
from bench_uq.score.questions import answers

#: Share of the widest gap to the best beyond which a method that is worse is far behind.
_FAR = 0.5
#: The groups of a score, which are classes of the style sheet, in the words of the key.
_GROUPS = {
    "best": "best",
    "tied": "not significantly worse",
    "worse": "significantly worse",
    "far": "significantly worse, more than half as far behind as the last",
}
#: Rows of the overview that are seen at first, where more than so many would be behind them.
_MOST_ROWS, _LEAST_REST = 12, 4


def overview_section(analysis: Analysis) -> str:
    """A matrix and a chart for each dataset; empty if nothing was measured."""
    body = ""
    for dataset in analysis.datasets:
        own = analysis.on(dataset)
        shown = by_questions(own)
        if shown is None:
            continue
        if len(analysis.datasets) > 1:
            body += f"<h3>{escape(analysis.label(dataset))}</h3>"
        chart = cost_chart(own) if len(analysis.datasets) > 1 else ""
        matrix = _matrix(own, shown, measured(analysis))
        body += f'<div class="overview">{matrix}{chart}</div>' if chart else matrix
    return section("overview", "Overview", body) if body else ""


def _matrix(analysis: Analysis, shown: Table, cards: Sequence[str]) -> str:
    """The table, each cell in the colour of its group: best, tied, worse, or far behind.

    ``cards`` are the metrics in the order of their cards.
    """
    heads = ""
    for one in shown.columns:
        lines = list[str]()
        for line in heading(one):
            # An arrow stays with its word.
            lines.append(escape(line).replace(" ↑", "&nbsp;↑").replace(" ↓", "&nbsp;↓"))
        first, *others = lines
        # Each score leads to its card.
        if one.metric in cards:
            first = f'<a href="#metric-{cards.index(one.metric)}">{first}</a>'
        heads += each(COLUMN, ["<br>".join([first, *others])])
    groups = _groups(analysis, shown)
    rows = list[str]()
    for row in shown.rows:
        cells = each(ROW, [escape(row.name) + (" †" if row.seeds.marked else "")])
        for place, cell in enumerate(row.cells):
            group = groups[place].get(row.method, "")
            text = escape(cell.mean or "–")
            if cell.best or cell.worse:
                text = each("strong" if cell.best else "em", [text])
            told = escape(cell.mean + cell.beside)
            cells += f'<td class="{group}"><span title="{told}">{text}</span></td>'
        rows.append(f"<tr>{cells}</tr>")

    entries = list[str]()
    bold, italic = ({"best"}, {"worse", "far"}) if shown.alone else ({"best", "tied"}, set[str]())
    for group, words in _GROUPS.items():
        text = each("strong", [words]) if group in bold else words
        text = each("em", [words]) if group in italic else text
        entries.append(f'<span class="{group}">{text}</span>')
    order = "Order: mean rank over these scores, methods that lack one last."
    key = f'<p class="key">{" ".join(entries)} {order}</p>'
    head = f"<thead><tr><{COLUMN}>Method</th>{heads}</tr></thead>"
    body, button = f"<tbody>{''.join(rows)}</tbody>", ""
    if len(rows) > _MOST_ROWS + _LEAST_REST:
        # The page folds the rest where there is a script; in print and without one all are seen.
        first_rows, rest = "".join(rows[:_MOST_ROWS]), "".join(rows[_MOST_ROWS:])
        body = f'<tbody>{first_rows}</tbody><tbody class="rest">{rest}</tbody>'
        button = f'<button type="button" class="all" hidden>Show all {len(rows)} methods</button>'
    said = each("li", map(escape, [*notes(shown), *shown.remarks[:1]]))
    folded = (
        f'<details class="fine"><summary>Notes</summary><ul class="notes">{said}</ul></details>'
    )
    return (
        '<div class="matrix"><div class="edge">'
        '<div class="scroll" role="region" aria-label="Overview" tabindex="0">'
        f"<table>{head}{body}</table></div></div>{button}{key}"
        f"{folded}</div>"
    )


def _groups(analysis: Analysis, shown: Table) -> list[dict[str, str]]:
    """The group of each method in each column; none where methods are not compared."""
    found = {one.question.scored: one for one in answers(analysis)}
    groups = []
    for column in shown.columns:
        own, answer = dict[str, str](), found.get(column.scored)

        if answer is not None and answer.comparison is not None:
            one = answer.comparison
            own = {**dict.fromkeys(one.tied, "tied"), one.best: "best"}
            # By the gap itself: of two that are nearly equal none looks far behind the other.
            widest = max(one.behind.values(), default=0.0)
            for name in one.worse:
                own[name] = "far" if one.behind[name] > _FAR * widest else "worse"
        groups.append(own)
    return groups
