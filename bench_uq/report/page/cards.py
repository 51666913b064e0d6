"""The definitions of the metrics of a page, as HTML that needs no script."""

from __future__ import annotations

import re
from html import escape

from bench_uq.api.metric import Metric
from bench_uq.api.names import plain_name
from bench_uq.plan.plugins import PACKAGES
from bench_uq.plan.sources import reference_of_installed
from bench_uq.report.page.elements import ROW, each, section, table
from bench_uq.report.page.leaderboard import measured
from bench_uq.score.analysis import Analysis

#: How papers are cited, and the addresses that they have.
_PAPERS = {"doi:": "https://doi.org/", "arXiv:": "https://arxiv.org/abs/"}
#: A sign that ends a sentence is no part of an address.
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
        # The neutral card of an unknown metric would claim that neither way is better.
        title, lines = "", "<dt></dt><dd>a metric without a card</dd>"
        if name in analysis.cards:
            metric = analysis.cards[name]
            title, lines = escape(metric.title), _card(metric)

        heading = f"<h3><code>{escape(name)}</code> {title}</h3>"
        # Numbered, because a metric of users may have a name that no id can be.
        attributes = f'class="card" id="metric-{len(found)}"'
        found.append(f"<article {attributes}>{heading}<dl>{lines}</dl></article>")
    return section("metrics", "Metrics", f'<div class="cards">{"".join(found)}</div>')


def methods_section(analysis: Analysis) -> str:
    """The methods with their names in commands and their papers; empty if none is known."""
    rows = ""
    for method in analysis.methods:
        paper = reference_of_installed(plain_name(method), PACKAGES["method"])
        name = f"<code>{escape(method)}</code>"
        cells = each(ROW, [escape(analysis.label(method))]) + each("td", [name, linked(paper)])
        rows += f"<tr>{cells}</tr>" if paper else ""
    if not rows:
        return ""
    return section("methods", "Methods", table("", ["Method", "Name in commands", "Paper"], rows))


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
        # The sites of others learn nothing of where a report lies.
        parts.append(f'<a href="{escape(address)}" rel="noopener noreferrer">{escape(name)}</a>')
        last = found.end()
    return "".join([*parts, escape(text[last:])])
