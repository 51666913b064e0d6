"""The verdict at the head of a page, in sentences."""

from __future__ import annotations

from html import escape

from bench_uq.report.conclusions import conclusions
from bench_uq.report.page.elements import each, section
from bench_uq.score.analysis import Analysis
from bench_uq.score.verdict import verdict


def verdict_section(analysis: Analysis) -> str:
    """The verdict in a few sentences, what is unsure, and beneath, folded, every comparison."""
    said = verdict(analysis)
    body = f'<ul class="said">{each("li", map(escape, said.sentences))}</ul>'
    if said.remarks:
        body += f'<ul class="unsure">{each("li", map(escape, said.remarks))}</ul>'
    body += f"<details><summary>Every comparison</summary>{_details(analysis)}</details>"
    return section("verdict", "Verdict", body)


def _details(analysis: Analysis) -> str:
    """A sentence for each main score of each dataset."""
    body = ""
    for dataset in analysis.datasets:
        if len(analysis.datasets) > 1:
            body += f"<h3>{escape(analysis.label(dataset))}</h3>"
        sentences = each("li", map(escape, conclusions(analysis.on(dataset))))
        body += f"<ul>{sentences}</ul>"
    return body
