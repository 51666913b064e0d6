"""The verdict at the head of a page, in sentences."""

from __future__ import annotations

from html import escape

from bench_uq.report.conclusions import conclusions
from bench_uq.report.page.elements import each, section
from bench_uq.score.analysis import Analysis


def verdict_section(analysis: Analysis) -> str:
    """The verdict on each dataset, as a list."""
    body = ""
    for dataset in analysis.datasets:
        if len(analysis.datasets) > 1:
            body += f"<h3>{escape(dataset)}</h3>"
        sentences = each("li", map(escape, conclusions(analysis.on(dataset))))
        body += f"<ul>{sentences}</ul>"
    return section("verdict", "Verdict", body)
