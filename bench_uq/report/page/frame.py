"""The frame of the leaderboard, which a script fills, and the commands that reproduce the page."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from bench_uq.report.page.downloads import other_files
from bench_uq.report.page.elements import each, section
from bench_uq.report.page.leaderboard import measured
from bench_uq.report.page.tables import static
from bench_uq.report.tables.captions import BEST_ALONE, BOLD, NO_MEAN
from bench_uq.report.tables.table import ODD, ODD_ITALIC, best_alone
from bench_uq.report.tables.tables import overview
from bench_uq.score.analysis import Analysis
from bench_uq.score.reproduce import report_command, run_commands
from bench_uq.score.results import Results

#: The filters of the leaderboard, in the order in which a reader narrows it.
_FILTERS = {"dataset": "Dataset", "condition": "Condition", "level": "Level", "metric": "Metrics"}
#: Notes beneath the leaderboard, after those on its marks.
_NOTES = (
    "† not converged: the method says so itself, or a larger budget still improves it. It is "
    "compared as it is, at this budget.",
    "k/p: k of p planned seeds finished. (n=k): k of the finished seeds have this value. "
    f"{NO_MEAN} –: no value.",
    "Detectable difference: found with 80 % power at 5 % over all pairs, between two methods "
    "with the median spread of all pairs, so smaller gaps of less noisy methods are found too; "
    "none: the gap would be wider than the range of the score.",
)


def leaderboard_section(analysis: Analysis) -> str:
    """The frame of the leaderboard; without a script, tables of clean and OOD data."""
    # Without a script, these tables stand in place of the leaderboard.
    tables = ""
    for dataset in analysis.datasets:
        tables += static(overview(analysis.on(dataset)))

    # Several metrics share a note.
    explained = dict.fromkeys(analysis.cards[metric].note for metric in measured(analysis))
    explained.pop("", None)
    notes = each("li", [*_notes(analysis), *map(escape, explained)])

    controls = ""
    for name, label in _FILTERS.items():
        select = f'<select id="filter-{name}"></select>'
        controls += f'<label for="filter-{name}">{label} {select}</label>'

    search = '<input id="filter-method" type="search" autocomplete="off">'
    return f"""<section id="leaderboard" aria-labelledby="leaderboard-title" tabindex="-1">
<h2 id="leaderboard-title">Leaderboard</h2>
<noscript><p>Without JavaScript: clean and out-of-distribution data; the downloads below hold the
rest.</p>{tables}</noscript>
<div id="board" hidden>
<p class="hint">Click a method to see its curves, a column to sort by it.</p>
<div class="controls" role="group" aria-label="Filters of the leaderboard">
{controls}
<span class="last"><label for="filter-method">Method contains {search}</label>
<button type="button" id="reset">Reset</button></span>
</div>
<p id="status" role="status"></p>
<p class="hint" id="sideways" hidden>The table is wider than the page: scroll it sideways for more
columns →</p>
<div class="edge"><div class="scroll" role="region" aria-label="Leaderboard" tabindex="0">
<table id="scores" role="table"></table></div></div>
<ul class="notes">{notes}</ul>
</div>
</section>
"""


def _notes(analysis: Analysis) -> list[str]:
    """The meaning of marks: datasets of few methods and of many have rules of their own."""
    rules = dict[str, str]()
    for dataset in analysis.datasets:
        many = best_alone(analysis.on(dataset))
        rules[BEST_ALONE if many else BOLD] = ODD_ITALIC if many else ODD
    first = "Mean ± standard deviation over seeds. ↑ higher is better, ↓ lower is better."
    tested = (
        "paired by seed, and main scores by test example where that is known; Holm over all pairs "
        "of a score, 5 %: the more methods are compared, the larger a difference must be to be "
        "claimed"
    )

    notes = [first]
    for rule, odd in rules.items():
        notes += [f"{rule.replace('Bold', '<strong>Bold</strong>')} ({tested}).", odd]
    return [*notes, *_NOTES]


def charts_section(charts: Iterable[Iterable[Any]]) -> str:
    """The frame of the charts of all methods, which a script fills; empty if there are none."""
    if not any(charts):
        return ""
    body = """<p class="hint" id="charts-hint">Point at a chart, or use ← and → on it, to read its
values.</p>
<div class="controls" role="group" aria-label="Choice of charts">
<label for="charts-dataset">Dataset of the charts <select id="charts-dataset"></select></label>
<label for="charts-section">Charts <select id="charts-section"></select></label>
<label class="tick" for="charts-apart"><input type="checkbox" id="charts-apart"> A chart for each
method</label></div>
<div id="charts-methods" class="legend" role="group" aria-label="Methods shown"></div>
<div id="charts-shown" class="charts"></div>"""
    return section(
        "charts",
        "Charts of all methods",
        f"<noscript><p>Without JavaScript there are no charts.</p></noscript>{body}",
    )


def reproduce_section(results: Results) -> str:
    """The commands that reproduce the runs and the report, each after the success of the last."""
    made = run_commands(results)
    unknown = ""
    if not made:
        # Older results have no column of commands.
        unknown = "<p>The commands of these runs were not recorded; the report's is:</p>"

    lines = " &&\n".join([*made, report_command(results)])
    body = f"""{unknown}<pre id="commands" tabindex="0" aria-label="Commands">{escape(lines)}</pre>
<p><button type="button" id="copy" hidden>Copy</button> <span id="copied" role="status"></span></p>
<p>The last command writes this page, and beside it {other_files()}.</p>"""
    return section("reproduce", "Reproduce", body)
