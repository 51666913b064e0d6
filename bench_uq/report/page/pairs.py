"""Every method against every other, for the scores that the verdict rests on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from bench_uq.report.page.elements import COLUMN, ROW, each, section
from bench_uq.score.analysis import Analysis
from bench_uq.score.leading import by_rank
from bench_uq.score.questions import Answer, answers
from bench_uq.score.rounding import decimals, fixed, signed
from bench_uq.score.statistics import ALPHA, Comparison, Lead
from bench_uq.score.summaries import Summary
from bench_uq.score.wording import asked

#: Methods of which all pairs can be read; of more those that rank best.
MOST = 12
HINT = (
    "By how much the method of the row is better than that of the column: the mean over the seeds "
    "that both have, with the 95 % interval of that pair alone. Bold: significant when all pairs "
    "of the score are tested together (Holm, 5 %), and not of the other sign at another budget."
)
_SHORT = "The {} of {} methods that rank best on average; significance is among the pairs of all."


def pairs_section(analysis: Analysis) -> str:
    """The section of all pairs; empty where there are fewer than three methods."""
    body = ""
    for dataset in analysis.datasets:
        part = analysis.on(dataset)
        # Two methods are one pair, which the verdict tells.
        if len(part.comparable) < 3:
            continue

        found = [one for one in answers(part) if one.comparison is not None]
        if found and len(analysis.datasets) > 1:
            body += f"<h3>{escape(part.label(dataset))}</h3>"
        shown = by_rank(part, found)[:MOST]
        if found and len(part.comparable) > MOST:
            body += f'<p class="hint">{_SHORT.format(MOST, len(part.comparable))}</p>'
        for place, one in enumerate(found):
            body += _score(part, one, shown, opened=place == 0)
    if not body:
        return ""
    return section("pairs", "Every pair of methods", f'<p class="hint">{HINT}</p>{body}')


def _score(analysis: Analysis, one: Answer, shown: Sequence[str], *, opened: bool) -> str:
    """The matrix of one score, which opens by a click on its name."""
    name = asked(analysis, one)
    title = escape(name[:1].upper() + name[1:])
    matrix = _matrix(analysis, one, shown)
    return f"<details{' open' if opened else ''}><summary>{title}</summary>{matrix}</details>"


def _matrix(analysis: Analysis, one: Answer, shown: Sequence[str]) -> str:
    """The methods that are shown in rows and in columns."""
    comparison = one.comparison
    assert comparison is not None
    ranked = {*comparison.tied, *comparison.worse} & {*shown}
    # In the order of all tables, and not by rank: a reader looks for a name.
    methods = [name for name in analysis.methods if name in ranked]
    digits = _digits(comparison)

    heads = each(COLUMN, [escape(analysis.spoken(name)) for name in methods])
    rows = ""
    for row in methods:
        cells = each(ROW, [escape(analysis.spoken(row))])
        for column in methods:
            lead = None if row == column else comparison.lead(row, column)
            sure = {row, column}.isdisjoint(comparison.turned)
            cells += f"<td>{_cell(lead, digits, bold=sure)}</td>"
        rows += f"<tr>{cells}</tr>"

    caption = "Ahead by (row less column, in the better direction)"
    return (
        f'<div class="edge"><div class="scroll" role="region" aria-label="{caption}" tabindex="0">'
        f'<table class="pairs"><caption>{caption}</caption>'
        f"<thead><tr><{COLUMN}>Method</th>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        "</div></div>"
    )


def _digits(comparison: Comparison) -> int:
    """Decimals of all cells, by the widths of the intervals."""
    rough = []
    for lead in comparison.leads.values():
        low, high = lead.interval
        rough.append(Summary(lead.ahead, (high - low) / 2, low, high, comparison.seeds))
    return decimals(rough)


def _cell(lead: Lead | None, digits: int, *, bold: bool) -> str:
    """A lead with its interval, in bold if it is significant and may be."""
    if lead is None:
        return ""
    ahead = escape(signed(lead.ahead, digits))
    low, high = lead.interval
    if bold and lead.p <= ALPHA:
        ahead = f"<strong>{ahead}</strong>"
    if math.isnan(low):
        return ahead
    return f'{ahead} <span class="spread">[{fixed(low, digits)}, {fixed(high, digits)}]</span>'
