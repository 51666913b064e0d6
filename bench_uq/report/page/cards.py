"""The definitions of the metrics of a page, as HTML that needs no script."""

from __future__ import annotations

import re
from html import escape

from bench_uq.api.metric import Metric
from bench_uq.report.page.leaderboard import measured
from bench_uq.score.analysis import Analysis

#: How papers are cited, and the addresses that they have.
_PAPERS = {"doi:": "https://doi.org/", "arXiv:": "https://arxiv.org/abs/"}
_LINKS = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;)]|doi:10\.[^\s,;]+|arXiv:\d{4}\.\d{4,5}")
_DIRECTIONS = {
    "higher": "higher is better ↑",
    "lower": "lower is better ↓",
    "none": "neither way is better",
}


def cards_section(analysis: Analysis) -> str:
    """The definition of every metric of the results."""
    found = list[str]()
    for name in measured(analysis):
        known, metric = name in analysis.cards, analysis.cards[name]
        title = escape(metric.title) if known else ""
        heading = f"<h3><code>{escape(name)}</code> {title}</h3>"
        lines = _card(metric) if known else "<dt></dt><dd>a metric without a card</dd>"
        attributes = f'class="card" id="metric-{len(found)}"'
        found.append(f"<article {attributes}>{heading}<dl>{lines}</dl></article>")
    return f"""<section id="metrics" aria-labelledby="metrics-title">
<h2 id="metrics-title">Metrics</h2>
<div class="cards">{"".join(found)}</div>
</section>
"""


def _card(metric: Metric) -> str:
    """The lines of a card."""
    lines = {
        "formula": escape(metric.formula),
        "bins": escape(metric.bins or ""),
        "direction": _DIRECTIONS[metric.direction],
        "positive": escape(metric.positive or ""),
        "reference": linked(metric.reference),
    }
    return "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in lines.items() if text)


def linked(text: str) -> str:
    """A reference as HTML, with links to the papers and addresses that it names."""
    parts, last = [], 0
    for found in _LINKS.finditer(text):
        name = found.group()
        address = name
        for kind, place in _PAPERS.items():
            if name.startswith(kind):
                address = place + name.removeprefix(kind)
        parts.append(escape(text[last : found.start()]))
        parts.append(f'<a href="{escape(address)}" rel="noopener noreferrer">{escape(name)}</a>')
        last = found.end()
    return "".join([*parts, escape(text[last:])])
