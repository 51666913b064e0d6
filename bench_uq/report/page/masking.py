"""The section of a page on signs of masked gradients: a row per method, a column per check."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bench_uq.score.analysis import Analysis
from bench_uq.score.gradient_masking import CHECKS, MEANING, Verdict

_SIGNS = {"ok": "✓", "flagged": "⚠", "not judged": "–"}


def masking_section(analysis: Analysis) -> str:
    """The section with a table for each attacked dataset; empty if none was attacked."""
    tables, everywhere = "", list[Verdict]()
    for dataset in analysis.datasets:
        verdicts = analysis.on(dataset).masking
        if verdicts:
            tables += _table(dataset, verdicts)
            everywhere += verdicts
    if not tables:
        return ""
    notes = "".join(f"<li>{note}</li>" for note in _notes(everywhere))
    return f"""<section id="masking" aria-labelledby="masking-title">
<h2 id="masking-title">Can the attacks be trusted?</h2>
<p class="hint">A network can look robust because its gradient misleads the attacks. ✓: the attacks
order as they must; ⚠: they do not, beyond the noise of so few images, and the method's accuracy
under attack says nothing; –: not judged.</p>
{tables}<ul class="notes">{notes}</ul>
</section>
"""


def _notes(verdicts: Sequence[Verdict]) -> list[str]:
    """The meaning of each flag, and what it takes to judge each check that was not judged."""
    flagged = {verdict.check for verdict in verdicts if verdict.status == "flagged"}
    needs = {verdict.check: verdict.words for verdict in verdicts if verdict.status == "not judged"}
    judged = any(verdict.status != "not judged" for verdict in verdicts)

    notes = []
    for name in CHECKS:
        if name in flagged:
            notes.append(f"<strong>{escape(name)}</strong>: {escape(MEANING[name])}.")
    if judged and not flagged:
        notes.append("No sign of masked gradients.")
    for name in CHECKS:
        if name in needs:
            notes.append(f"{escape(name)}: {escape(needs[name])}.")
    return notes


def _table(dataset: str, verdicts: Sequence[Verdict]) -> str:
    """The table of one dataset."""
    cells: dict[str, str] = {}
    for verdict in verdicts:
        cells[verdict.method] = cells.get(verdict.method, "") + _cell(verdict)

    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in CHECKS)
    rows = ""
    for method, own in cells.items():
        rows += f'<tr><th scope="row">{escape(method)}</th>{own}</tr>'
    return (
        f'<div class="scroll"><table><caption>{escape(dataset)}</caption><thead><tr>'
        f'<th scope="col">Method</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _cell(verdict: Verdict) -> str:
    """A sign, with the reason for a flag."""
    sign = _SIGNS[verdict.status]
    if verdict.status != "flagged":
        return f"<td>{sign}</td>"
    return f'<td class="reason">{sign} {escape(verdict.words)}</td>'
