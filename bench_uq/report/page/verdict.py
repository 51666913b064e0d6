"""The verdict at the head of a page, in sentences."""

from __future__ import annotations

from html import escape

from bench_uq.report.conclusions import conclusions
from bench_uq.report.page.cost_chart import cost_chart
from bench_uq.report.page.elements import each, section
from bench_uq.score.analysis import Analysis
from bench_uq.score.verdict import verdict


def verdict_section(analysis: Analysis) -> str:
    """The verdict in a few sentences, with the chart of quality against cost beside it."""
    sentences = each("li", map(escape, verdict(analysis).sentences))
    body = f'<ul class="said">{sentences}</ul>'
    # Beside the answers, so that both are seen at once; of several datasets each has its own.
    if len(analysis.datasets) == 1:
        own = analysis.on(analysis.datasets[0])
        body = f'<div class="overview"><div>{body}</div>{cost_chart(own)}</div>'
    return section("verdict", "Verdict", body)


def unsure_section(analysis: Analysis) -> str:
    """The doubts about the verdict, and beneath, folded, every comparison."""
    remarks, title, body = verdict(analysis).remarks, "Every comparison", ""
    if remarks:
        title = "What is unsure, and what to do about it"
        body = f'<ul class="unsure">{each("li", map(escape, remarks))}</ul>'
    body += f"<details><summary>Every comparison</summary>{_details(analysis)}</details>"
    return section("unsure", title, body)


def _details(analysis: Analysis) -> str:
    """A sentence for each main score of each dataset."""
    body = ""
    for dataset in analysis.datasets:
        if len(analysis.datasets) > 1:
            body += f"<h3>{escape(analysis.label(dataset))}</h3>"
        sentences = each("li", map(escape, conclusions(analysis.on(dataset))))
        body += f"<ul>{sentences}</ul>"
    return body
