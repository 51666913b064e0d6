"""The page of a report: one file that needs no network, with a leaderboard that sorts and filters."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

from bench_uq.report.page.cards import cards
from bench_uq.report.page.charts import charts
from bench_uq.report.page.downloads import Download, downloads
from bench_uq.report.page.leaderboard import leaderboard
from bench_uq.report.page.masking import masking
from bench_uq.report.page.runs import environments, runs
from bench_uq.report.page.tables import static, stress
from bench_uq.report.tables.tables import overview
from bench_uq.score.analysis import Analysis
from bench_uq.score.labels import counted
from bench_uq.score.reproduce_report import commands, report_command

#: What stands beneath the leaderboard.
_NOTES = (
    "Mean ± standard deviation over seeds. ↑ higher is better, ↓ lower is better.",
    "<strong>Bold</strong>: the best and what is not distinguishable from it, paired by seed, Holm-corrected at 5 %.",
    "A bold mean may lie behind one that is not: it varies more from seed to seed.",
    "† some runs had not converged: no ordering is claimed of them, and they are never bold.",
    "k/p: k of p planned seeds finished. (n=k): k of the finished seeds have this value. –: no value.",
    "ECE (calibrated): what a perfectly calibrated model would show for as many examples.",
    "Detectable difference: what is found with a probability of 80 %, at 5 % over all pairs, between two methods that "
    "differ by the middle spread of all pairs; smaller ones may be seen between less noisy methods.",
    "AUROC: unseen or stressed against clean data by predictive entropy.",
)
#: The other files of a report, by their path from the page.
_BESIDE = {"summary.md": "the summary", "tables/main.tex": "the tables", "figures/": "the figures"}
#: The link to the means over levels, where there are any.
_STRESS = '<a href="#stress">Stress</a>'


def page(analysis: Analysis) -> str:
    """Return the page; the same results give the same bytes."""
    style, script = (
        files("bench_uq.report.page").joinpath(name).read_text("utf-8")
        for name in ("page.css", "page.js")
    )
    title = escape(analysis.results.title or analysis.results.suite)
    data = _json({**leaderboard(analysis), **charts(analysis), "suite": analysis.results.suite})
    under_stress = stress(analysis)
    sections = [
        _leaderboard(analysis),
        under_stress,
        masking(analysis),
        runs(analysis),
        cards(analysis),
        _again(analysis),
        environments(analysis),
        _downloads(analysis),
    ]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<a class="skip" href="#leaderboard">Skip to the leaderboard</a>
<header>
<h1>{title}</h1>
{_extent(analysis)}
<nav aria-label="Sections"><a href="#leaderboard">Leaderboard</a> {_STRESS if under_stress else ""}
<a href="#runs">Runs</a> <a href="#metrics">Metrics</a> <a href="#again">Make it again</a>
<a href="#environments">Environments</a> <a href="#downloads">Downloads</a></nav>
</header>
<main>
{"".join(sections)}</main>
<dialog id="curves" aria-labelledby="curves-title"></dialog>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def _policy(style: str, script: str) -> str:
    """Return a policy that lets exactly this style and this script in, and nothing be loaded."""
    hashes = {
        kind: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for kind, text in {"style": style, "script": script}.items()
    }
    allowed = "".join(f" {kind}-src 'sha256-{digest}';" for kind, digest in hashes.items())
    return f"default-src 'none';{allowed} img-src data:; base-uri 'none'; form-action 'none'"


def _json(value: Any) -> str:
    """Return JSON that can neither end the element it stands in nor open another."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.translate({ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&"})


def _extent(analysis: Analysis) -> str:
    """Say what there is, and how many runs did not finish or had not converged."""
    total, finished = (
        len(analysis.results.runs),
        int((analysis.results.runs["status"] == "ok").sum()),
    )
    loose = int(
        (
            (analysis.results.runs["status"] == "ok")
            & (analysis.results.runs["converged"] == "False")
        ).sum()
    )
    extent = f"{counted(len(analysis.methods), 'method')} on {counted(len(analysis.datasets), 'dataset')}"
    bad = [f"{counted(total - finished, 'run')} did not finish"] if finished < total else []
    bad += [f"{counted(loose, 'run')} had not converged"] if loose else []
    warning = (
        f'<p class="warning">⚠ {" and ".join(bad)}: <a href="#runs">see the runs</a>.</p>'
        if bad
        else ""
    )
    return f"<p>{extent}; {finished:,} of {counted(total, 'run')} finished.</p>{warning}"


def _leaderboard(analysis: Analysis) -> str:
    """Return the frame that the script fills; without a script, the tables of clean and unseen data."""
    tables = "".join(static(overview(analysis.on(dataset))) for dataset in analysis.datasets)
    notes = "".join(f"<li>{note}</li>" for note in _NOTES)
    return f"""<section id="leaderboard" aria-labelledby="leaderboard-title" tabindex="-1">
<h2 id="leaderboard-title">Leaderboard</h2>
<noscript><p>Without JavaScript: clean and unseen data; the downloads below hold the rest.</p>{tables}</noscript>
<div id="board" hidden>
<p class="hint">Click a method to see its curves, a column to sort by it.</p>
<div class="controls" role="group" aria-label="Filters of the leaderboard">
{_control("dataset", "Dataset", "<select")}{_control("condition", "Condition", "<select")}
{_control("level", "Level", "<select")}{_control("metric", "Metrics", "<select")}
<label for="filter-method">Method contains <input id="filter-method" type="search" autocomplete="off"></label>
<button type="button" id="reset">Reset</button>
</div>
<p id="status" role="status"></p>
<p class="hint" id="sideways" hidden>The table is wider than the page: scroll it sideways for more columns →</p>
<div class="edge"><div class="scroll" role="region" aria-label="Leaderboard" tabindex="0">
<table id="scores" role="table"></table></div></div>
<ul class="notes">{notes}</ul>
</div>
</section>
"""


def _control(name: str, label: str, opening: str) -> str:
    """Return a labelled control of the leaderboard."""
    return f'<label for="filter-{name}">{label} {opening} id="filter-{name}"></select></label>'


def _again(analysis: Analysis) -> str:
    """Return the commands that make the runs and the report again."""
    made = commands(analysis.results)
    lines = [*made, report_command(analysis.results)]
    unknown = (
        ""
        if made
        else "<p>How these runs were made was not recorded; the report is made again by:</p>"
    )
    return f"""<section id="again" aria-labelledby="again-title">
<h2 id="again-title">Make it again</h2>
{unknown}<pre id="commands" tabindex="0" aria-label="Commands">{escape(_joined(lines))}</pre>
<p><button type="button" id="copy" hidden>Copy</button> <span id="copied" role="status"></span></p>
<p>The last of them writes this page, and beside it {_beside()}.</p>
</section>
"""


def _joined(lines: Sequence[str]) -> str:
    """Return commands as one, each after the success of the one before."""
    return " &&\n".join(lines)


def _downloads(analysis: Analysis) -> str:
    """Return the list of the files to take away."""
    items = "".join(f"<li>{_file(analysis.results.suite, one)}</li>" for one in downloads(analysis))
    return f"""<section id="downloads" aria-labelledby="downloads-title">
<h2 id="downloads-title">Downloads</h2>
<p>The data behind this page, with full digits; the links hold the files themselves.</p>
<ul>{items}</ul>
<p>Beside this page, where the report was written whole: {_beside()}.</p>
</section>
"""


def _beside() -> str:
    """Return links to the other files of the report."""
    *others, last = (f'{what} (<a href="{path}">{path}</a>)' for path, what in _BESIDE.items())
    return f"{', '.join(others)} and {last}"


def _file(suite: str, one: Download) -> str:
    """Return a link to a file, or where it lies if it is too large for a page."""
    name = escape(one.name)
    if one.link is None:
        return f"{name} is too large for this page; it lies in <code>results/{escape(suite)}/{name}</code>."
    return f'<a download="{name}" href="{one.link}">{name}</a> ({_size(one.size)})'


def _size(count: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"
