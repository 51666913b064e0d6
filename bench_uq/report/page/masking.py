"""The section of a page on signs of masked gradients: a row per method, a column per check."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bench_uq.report.page.elements import ROW, each, section, table
from bench_uq.score.analysis import Analysis
from bench_uq.score.gradient_masking import CHECKS, MEANING, Verdict, needs, outcome

_SIGNS = {"ok": "✓", "flagged": "⚠", "not judged": "–"}


def masking_section(analysis: Analysis) -> str:
    """The section with a table for each attacked dataset; empty if none was attacked."""
    tables, everywhere = "", list[Verdict]()
    for dataset in analysis.datasets:
        verdicts = analysis.on(dataset).masking
        if verdicts:
            tables += _table(analysis.on(dataset), verdicts)
            everywhere += verdicts
    if not tables:
        return ""

    body = f"""\
<p class="hint">A network can look robust because its gradient misleads the attacks. ✓: the stronger
attack leaves less accuracy, as it must; ⚠: it leaves more, beyond the noise of so few images, and
the method's accuracy under attack says nothing; –: not possible here, for the reason below the
table. Accuracy under an attack is an upper bound: a stronger attack may leave less.</p>
{tables}<ul class="notes">{each("li", _notes(everywhere))}</ul>"""
    return section("masking", "Can the attacks be trusted?", body)


def _notes(verdicts: Sequence[Verdict]) -> list[str]:
    """The meaning of each flag, and the condition of each check that was not judged."""
    flagged = {verdict.check for verdict in verdicts if verdict.status == "flagged"}

    # Flags first: they decide whether an accuracy under attack says anything.
    notes = []
    for name in CHECKS:
        if name in flagged:
            notes.append(f"<strong>{escape(name)}</strong>: {escape(MEANING[name])}.")
    return [*notes, *map(escape, needs(verdicts))]


def _table(analysis: Analysis, verdicts: Sequence[Verdict]) -> str:
    """The table of one dataset."""
    # What was possible for no method stands beneath alone.
    judged = {verdict.check for verdict in verdicts if verdict.status != "not judged"}
    checks, cells = [check for check in CHECKS if check in judged], dict[str, str]()
    for verdict in verdicts:
        own = _cell(verdict) if verdict.check in judged else ""
        cells[verdict.method] = cells.get(verdict.method, "") + own

    if not checks:
        return f"<p>{escape(analysis.label(analysis.dataset))}: {escape(outcome(verdicts))}</p>"
    rows = [each(ROW, [escape(analysis.label(method))]) + own for method, own in cells.items()]
    return table(
        f"{analysis.label(analysis.dataset)}: {outcome(verdicts)}",
        ["Method", *checks],
        each("tr", rows),
    )


def _cell(verdict: Verdict) -> str:
    """A sign, with the reason for a flag."""
    sign = _SIGNS[verdict.status]
    # Reasons for a check that was not judged stand beneath, once for all methods.
    if verdict.status != "flagged":
        return f"<td>{sign}</td>"
    return f'<td class="reason">{sign} {escape(verdict.words)}</td>'
