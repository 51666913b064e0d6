"""The page of a report: one file that needs no network, with a leaderboard and curves."""

from __future__ import annotations

import base64
import hashlib
import json
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
from bench_uq.report.page.runs import environments_section, runs_section
from bench_uq.report.page.tables import (
    conditions_section,
    equivalent_section,
    stress_section,
    tuning_section,
)
from bench_uq.report.page.verdict import verdict_section
from bench_uq.report.tables.provenance import run_counts
from bench_uq.score.analysis import Analysis
from bench_uq.score.banners import banner
from bench_uq.score.labels import counted
from bench_uq.score.results import Results


def page(analysis: Analysis, images: Images = MappingProxyType({})) -> str:
    """The page, with the figures of the report; the same results give the same bytes."""
    results = analysis.results
    folder = files("bench_uq.report.page")
    style = folder.joinpath("page.css").read_text("utf-8")
    script = folder.joinpath("page.js").read_text("utf-8")

    title = escape(results.title or results.suite)
    data = leaderboard_data(analysis) | chart_data(analysis) | {"suite": results.suite}
    figures = figures_section(images)
    stress, tuned = stress_section(analysis), tuning_section(analysis)
    equalled, pairs = equivalent_section(analysis), pairs_section(analysis)
    links = []
    if pairs:
        links.append('<a href="#pairs">Pairs</a>')
    if figures:
        links.append('<a href="#figures">Figures</a>')
    if stress:
        links.append('<a href="#stress">Stress</a>')
    if equalled:
        links.append('<a href="#equivalent">Equivalents</a>')
    if tuned:
        links.append('<a href="#tuning">Tuning</a>')
    sections = [
        verdict_section(analysis),
        overview_section(analysis),
        leaderboard_section(analysis),
        charts_section(data["charts"]),
        pairs,
        figures,
        conditions_section(analysis),
        stress,
        equalled,
        tuned,
        masking_section(analysis),
        runs_section(results),
        methods_section(analysis),
        cards_section(analysis),
        reproduce_section(results),
        environments_section(results),
        downloads_section(results),
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
<p>{run_counts(results)}</p>{_warning(results)}
<nav aria-label="Sections"><a href="#verdict">Verdict</a>
<a href="#overview">Overview</a>
<a href="#leaderboard">Leaderboard</a> <a href="#charts">Charts</a> {" ".join(links)}
<a href="#runs">Runs</a> <a href="#metrics">Metrics</a> <a href="#reproduce">Reproduce</a>
<a href="#environments">Environments</a> <a href="#downloads">Downloads</a></nav>
</header>
<main>
{"".join(sections)}</main>
<dialog id="figure" aria-label="Figure"></dialog>
<dialog id="curves" aria-labelledby="curves-title"></dialog>
<script type="application/json" id="data">{_json(data)}</script>
<script>{script}</script>
</body>
</html>
"""


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


def _warning(results: Results) -> str:
    """Say how many runs did not finish or had not converged, which are not alike, and remarks."""
    finished = results.runs["status"] == "ok"
    failed = int((~finished).sum())
    loose = int((finished & (results.runs["diagnosis"] != "")).sum())

    lines = ""
    for warning in banner(results):
        lines += f'<p class="warning">⚠ {escape(warning)}</p>'

    bad = []
    if failed:
        bad.append(f"{counted(failed, 'run')} did not finish")
    if loose:
        bad.append(f"{counted(loose, 'run')} had not converged")
    told = ""
    if bad:
        link = '<a href="#runs">see the runs</a>'
        told = f'<p class="warning">⚠ {" and ".join(bad)}: {link}.</p>'
    for line in results.about.remarks():
        told += f'<p class="warning">⚠ {escape(line)}.</p>'
    return told + lines
