"""The section of a page on signs of masked gradients: a row a method, a column a check."""

from __future__ import annotations

from html import escape

from bench_uq.score.analysis import Analysis
from bench_uq.score.gradient_masking import CHECKS, MEANING, Verdict

_SIGNS = {"ok": "✓", "flagged": "⚠", "not judged": "–"}


def masking(analysis: Analysis) -> str:
    """Return the section with a table for each dataset that was attacked; empty where none was."""
    found = {
        dataset: verdicts
        for dataset in analysis.datasets
        if (verdicts := analysis.on(dataset).masking)
    }
    if not found:
        return ""
    tables = "".join(_table(dataset, verdicts) for dataset, verdicts in found.items())
    notes = "".join(
        f"<li>{note}</li>"
        for note in _notes([one for verdicts in found.values() for one in verdicts])
    )
    return f"""<section id="masking" aria-labelledby="masking-title">
<h2 id="masking-title">Can the attacks be believed?</h2>
<p class="hint">A network can look robust because its gradient leads attacks astray. ✓: the attacks order as they
must; ⚠: they do not, beyond the noise of so few images, and the method's accuracy under attack says nothing; –: not
judged.</p>
{tables}<ul class="notes">{notes}</ul>
</section>
"""


def _notes(verdicts: list[Verdict]) -> list[str]:
    """Return what each flag means, and what it takes to judge what was not judged."""
    flagged = {verdict.check for verdict in verdicts if verdict.status == "flagged"}
    needs = {verdict.check: verdict.words for verdict in verdicts if verdict.status == "not judged"}
    judged = {verdict.check for verdict in verdicts if verdict.status != "not judged"}
    notes = [
        f"<strong>{escape(name)}</strong>: {escape(MEANING[name])}."
        for name in CHECKS
        if name in flagged
    ]
    notes += [] if flagged or not judged else ["No sign of masked gradients."]
    return [
        *notes,
        *(f"{escape(name)}: {escape(needs[name])}." for name in CHECKS if name in needs),
    ]


def _table(dataset: str, verdicts: list[Verdict]) -> str:
    """Return the table of one dataset."""
    methods = list(dict.fromkeys(verdict.method for verdict in verdicts))
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in CHECKS)
    rows = "".join(
        f'<tr><th scope="row">{escape(method)}</th>'
        f"{''.join(_cell(verdict) for verdict in verdicts if verdict.method == method)}</tr>"
        for method in methods
    )
    return (
        f'<div class="scroll"><table><caption>{escape(dataset)}</caption><thead><tr>'
        f'<th scope="col">Method</th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _cell(verdict: Verdict) -> str:
    """Return a sign, with its words where there are any."""
    words = f" {escape(verdict.words)}" if verdict.status == "flagged" else ""
    kind = ' class="reason"' if words else ""
    return f"<td{kind}>{_SIGNS[verdict.status]}{words}</td>"
