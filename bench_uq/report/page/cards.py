"""The definitions of the metrics of a page, as HTML that needs no script."""

from __future__ import annotations

import re
from html import escape

from bench_uq.plan.plugins import Plugins
from bench_uq.report.page.leaderboard import measured
from bench_uq.score.analysis import Analysis

#: What a paper is cited by, and where it lies.
_PAPERS = {"doi:": "https://doi.org/", "arXiv:": "https://arxiv.org/abs/"}
_LINKS = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;)]|doi:10\.[^\s,;]+|arXiv:\d{4}\.\d{4,5}")
_DIRECTIONS = {
    "higher": "higher is better ↑",
    "lower": "lower is better ↓",
    "none": "neither way is better",
}


def cards(analysis: Analysis) -> str:
    """Return the definition of every metric of the results."""
    there, known = measured(analysis), Plugins().metrics()
    found = list[str]()
    for name in there:
        metric = known.get(name)
        lines: dict[str, str | None] = {"": "a metric of these results alone, without a card"}
        if metric:
            lines = {
                "formula": escape(metric.formula),
                "bins": metric.bins and escape(metric.bins),
                "direction": _DIRECTIONS[metric.direction],
                "positive": metric.positive and escape(metric.positive),
                "reference": linked(metric.reference),
            }
        title = f"<h3><code>{escape(name)}</code> {escape(metric.title if metric else '')}</h3>"
        found.append(
            f'<article class="card" id="metric-{len(found)}">{title}{_list(lines)}</article>'
        )
    return f"""<section id="metrics" aria-labelledby="metrics-title">
<h2 id="metrics-title">Metrics</h2>
<div class="cards">{"".join(found)}</div>
</section>
"""


def _list(lines: dict[str, str | None]) -> str:
    """Return the lines of a card that hold something, as HTML."""
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{text}</dd>' for name, text in lines.items() if text)}</dl>"


def linked(text: str) -> str:
    """Return a reference as HTML, with links to the papers and addresses that it names."""
    parts, last = [], 0
    for found in _LINKS.finditer(text):
        name = found.group()
        address = name
        for kind, place in _PAPERS.items():
            address = place + name.removeprefix(kind) if name.startswith(kind) else address
        parts.append(escape(text[last : found.start()]))
        parts.append(f'<a href="{escape(address)}" rel="noopener noreferrer">{escape(name)}</a>')
        last = found.end()
    return "".join([*parts, escape(text[last:])])
