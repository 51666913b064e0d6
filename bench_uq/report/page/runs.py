"""The runs and environments of a page, as HTML that needs no script."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from bench_uq.score.analysis import Analysis

_HEADS = {
    "run": "Run",
    "status": "Status",
    "reason": "Reason",
    "converged": "Converged",
    "method": "Method",
    "dataset": "Dataset",
    "seed": "Seed",
    "network": "Network",
    "epochs": "Epochs",
    "draws": "Draws",
    "parameters": "Parameters",
    "train_seconds": "Training (s)",
    "seconds_per_1000": "1,000 predictions (s)",
    "peak_memory": "Peak memory (MB)",
    "environment": "Environment",
}
_NUMBERS = {
    "seed",
    "epochs",
    "draws",
    "parameters",
    "train_seconds",
    "seconds_per_1000",
    "peak_memory",
}
#: Signs beyond which the name of a run is broken however wide the screen is.
_LONG = 60
#: Rows of the table of runs: a browser lays out no more at once, and nobody reads them.
MOST_RUNS = 1000
_CONVERGED = {"True": "yes", "False": "† no", "": "–"}


def runs(analysis: Analysis) -> str:
    """Return the table of runs, those first that did not finish, then those that had not converged."""
    methods = {method: place for place, method in enumerate(analysis.methods)}
    table: list[Mapping[str, Any]] = analysis.results.runs.to_dict("records")  # type: ignore[assignment]
    table.sort(key=lambda run: (_trouble(run), run["dataset"], methods[run["method"]], run["seed"]))
    left, table = len(table) - MOST_RUNS, table[:MOST_RUNS]
    rest = f'\n<p class="notes">and {left:,} more, all in runs.csv (<a href="#downloads">downloads</a>)</p>'
    more = rest if left > 0 else ""
    # A column that says nothing of any run is left out.
    heads = {
        name: head
        for name, head in _HEADS.items()
        if any(_text(name, run[name]) != "–" for run in table)
    }
    head = "".join(f'<th scope="col"{_kind(name)}>{text}</th>' for name, text in heads.items())
    rows = "".join(_row(run, heads) for run in table)
    return f"""<section id="runs" aria-labelledby="runs-title">
<h2 id="runs-title">Runs</h2>
<div class="edge"><div class="scroll" role="region" aria-label="Runs" tabindex="0">
<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></div>{more}
<p class="notes">✗ did not finish: such a run has no scores, and means are over the others. † had not converged.</p>
</section>
"""


def environments(analysis: Analysis) -> str:
    """Return the table of the environments that the runs name, a column each."""
    used = {
        name: analysis.results.environments.get(name, {})
        for name in sorted(set(analysis.results.runs["environment"]) - {""})
    }
    facts = sorted(
        {fact for one in used.values() for fact in one} - {"id"},
        key=lambda fact: (fact != "device", fact),
    )
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in used)
    rows = "".join(
        f'<tr><th scope="row">{escape(fact)}</th>{_cells(one.get(fact) for one in used.values())}</tr>'
        for fact in facts
    )
    table = f'<table><thead><tr><th scope="col">Environment</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
    if not used:
        table = "<p>not recorded</p>"
    return f"""<section id="environments" aria-labelledby="environments-title">
<h2 id="environments-title">Environments</h2>
<div class="edge"><div class="scroll" role="region" aria-label="Environments" tabindex="0">{table}</div></div>
</section>
"""


def _trouble(run: Mapping[str, Any]) -> int:
    """Return 0 for a run that lacks something, 1 for one that had not converged, 2 for one that went well."""
    return 0 if run["status"] != "ok" or run["reason"] else 1 if run["converged"] == "False" else 2


def _row(run: Mapping[str, Any], columns: Iterable[str]) -> str:
    """Return the row of one run."""
    first, *others = columns
    name = str(run[first])
    long = ' class="long"' if len(name) > _LONG else ""
    cells = "".join(f"<td{_kind(name)}>{escape(_text(name, run[name]))}</td>" for name in others)
    kind = ("failed", "unconverged", "finished")[_trouble(run)]
    return f'<tr class="{kind}"><th scope="row"{long}>{escape(name)}</th>{cells}</tr>'


def _cells(facts: Iterable[Any]) -> str:
    """Return plain cells."""
    return "".join(f"<td>{'–' if fact in (None, '') else escape(str(fact))}</td>" for fact in facts)


def _kind(name: str) -> str:
    """Return the class of a column, if it has one."""
    return ' class="number"' if name in _NUMBERS else ' class="reason"' if name == "reason" else ""


def _text(name: str, value: Any) -> str:
    """Return one fact of a run as text, a dash where nothing is known."""
    if name == "status":
        return "✓ ok" if value == "ok" else f"✗ {value}"
    if name == "converged":
        return _CONVERGED[value]
    if name == "seed":
        return str(value)
    if not isinstance(value, float):
        return str(value) or "–"
    if math.isnan(value):
        return "–"
    if name == "peak_memory":
        return f"{value / 1e6:,.0f}"
    return f"{value:,.3g}" if "seconds" in name and value < 100 else f"{value:,.0f}"
