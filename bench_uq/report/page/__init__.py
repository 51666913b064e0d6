"""The page of a report: one file that needs no network, with a leaderboard and curves."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from bench_uq.report.page.cards import cards_section, methods_section
from bench_uq.report.page.charts import chart_data
from bench_uq.report.page.downloads import downloads_section
from bench_uq.report.page.figures import Images, figures_section
from bench_uq.report.page.frame import charts_section, leaderboard_section, reproduce_section
from bench_uq.report.page.leaderboard import leaderboard_data
from bench_uq.report.page.masking import masking_section
from bench_uq.report.page.overview import overview_section
from bench_uq.report.page.pairs import pairs_section
from bench_uq.report.page.published import published_section
from bench_uq.report.page.runs import environments_section, runs_section
from bench_uq.report.page.tables import (
    conditions_section,
    cost_section,
    equivalent_section,
    ood_section,
    ranks_section,
    stress_section,
    tuning_section,
)
from bench_uq.report.page.verdict import unsure_section, verdict_section
from bench_uq.report.tables.provenance import run_counts
from bench_uq.score.analysis import Analysis
from bench_uq.score.banners import banner
from bench_uq.score.labels import counted
from bench_uq.score.wording import NAMED, listed

#: What links call the sections that not every page has.
_OPTIONAL = {
    "pairs": "Pairs",
    "figures": "Figures",
    "ood": "OOD",
    "stress": "Stress",
    "ranks": "Ranks",
    "cost": "Cost",
    "equivalent": "Equivalents",
    "published": "Published",
    "tuning": "Tuning",
}


def page(analysis: Analysis, images: Images = MappingProxyType({})) -> str:
    """The page, with the figures of the report; the same results give the same bytes."""
    results = analysis.results
    folder = files("bench_uq.report.page")
    style = folder.joinpath("page.css").read_text("utf-8")
    script = folder.joinpath("page.js").read_text("utf-8")

    title = escape(results.title or results.suite)
    data = leaderboard_data(analysis) | chart_data(analysis) | {"suite": results.suite}
    sections = _sections(analysis, data, images)

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
<p>{run_counts(results)}</p>{_warning(analysis)}
{_links(sections)}
</header>
<main>
{"".join(sections.values())}</main>
<dialog id="figure" aria-label="Figure"></dialog>
<dialog id="curves" aria-labelledby="curves-title"></dialog>
<script type="application/json" id="data">{_json(data)}</script>
<script>{script}</script>
</body>
</html>
"""


def _sections(analysis: Analysis, data: Mapping[str, Any], images: Images) -> dict[str, str]:
    """The sections in the order of the page; empty are those that these results do without."""
    results = analysis.results
    return {
        "verdict": verdict_section(analysis),
        "overview": overview_section(analysis),
        # Behind the overview, so that answers, chart and overview are seen at once.
        "unsure": unsure_section(analysis),
        "leaderboard": leaderboard_section(analysis),
        "charts": charts_section(data["charts"]),
        "pairs": pairs_section(analysis),
        "figures": figures_section(images),
        "conditions": conditions_section(analysis),
        "ood": ood_section(analysis),
        "stress": stress_section(analysis),
        "ranks": ranks_section(analysis, images),
        "cost": cost_section(analysis),
        "equivalent": equivalent_section(analysis),
        "published": published_section(analysis),
        "tuning": tuning_section(analysis),
        "masking": masking_section(analysis),
        "runs": runs_section(results),
        "methods": methods_section(analysis),
        "metrics": cards_section(analysis),
        "reproduce": reproduce_section(results),
        "environments": environments_section(results),
        "downloads": downloads_section(results),
    }


def _links(sections: Mapping[str, str]) -> str:
    """The links to the sections."""
    links = []
    for name, label in _OPTIONAL.items():
        if sections[name]:
            links.append(f'<a href="#{name}">{label}</a>')

    return f"""<nav aria-label="Sections"><a href="#verdict">Verdict</a>
<a href="#overview">Overview</a> <a href="#unsure">Doubts</a>
<a href="#leaderboard">Leaderboard</a> <a href="#charts">Charts</a> {" ".join(links)}
<a href="#runs">Runs</a> <a href="#metrics">Metrics</a> <a href="#reproduce">Reproduce</a>
<a href="#environments">Environments</a> <a href="#downloads">Downloads</a></nav>"""


def _policy(style: str, script: str) -> str:
    """A policy that allows exactly this style and this script, and loads nothing."""
    # Hashes of the texts allow these alone; a nonce would have to be new in each page.
    allowed = ""
    for kind, text in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        allowed += f" {kind}-src 'sha256-{digest}';"
    # A browser would ask the server for an icon; the page has an empty one, which is data.
    return f"default-src 'none';{allowed} img-src data:; base-uri 'none'; form-action 'none'"


def _json(value: Any) -> str:
    """JSON that can neither end the element it stands in nor open another."""
    # JSON.parse() refuses NaN: better an error here than a page whose script fails.
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _warning(analysis: Analysis) -> str:
    """Say how many runs did not finish or had not converged, which are not alike, and remarks."""
    results = analysis.results
    finished = results.runs["status"] == "ok"
    failed = int((~finished).sum())
    loose = results.runs[finished & (results.runs["diagnosis"] != "")]

    lines = ""
    for warning in banner(results):
        lines += f'<p class="warning">⚠ {escape(warning)}</p>'

    bad = []
    if failed:
        bad.append(f"{counted(failed, 'run')} did not finish")
    if len(loose):
        methods = [
            analysis.spoken(name) for name in analysis.methods if name in set(loose["method"])
        ]
        told = escape(listed(methods, "and", NAMED))
        bad.append(f"{counted(len(loose), 'run')} had not converged ({told})")
    told = ""
    if bad:
        link = '<a href="#runs">see the runs</a>'
        told = f'<p class="warning">⚠ {" and ".join(bad)}: {link}.</p>'
    for line in results.about.remarks():
        told += f'<p class="warning">⚠ {escape(line)}.</p>'
    return told + lines
