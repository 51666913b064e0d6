"""The runs and environments of a page, as HTML that needs no script."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from bench_uq.score.results import Results

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
#: Signs from which the name of a run is broken however wide the screen is.
_LONG = 60
#: Rows of the table of runs: a browser lays out no more at once, and nobody reads them.
MOST_RUNS = 1000
_CONVERGED = {"True": "yes", "False": "† no", "": "–"}


def runs_section(results: Results) -> str:
    """The table of runs: failed ones first, then unconverged ones."""
    methods = {method: place for place, method in enumerate(results.methods)}
    table: list[Mapping[str, Any]] = results.runs.to_dict("records")  # type: ignore[assignment]
    table.sort(key=lambda run: (_trouble(run), run["dataset"], methods[run["method"]], run["seed"]))

    left, table = len(table) - MOST_RUNS, table[:MOST_RUNS]
    more = ""
    if left > 0:
        link = '<a href="#downloads">downloads</a>'
        more = f'\n<p class="notes">and {left:,} more, all in runs.csv ({link})</p>'

    heads = {}
    for name, head in _HEADS.items():
        # A column without any fact is left out.
        if any(_text(name, run[name]) != "–" for run in table):
            heads[name] = head
    head = "".join(f'<th scope="col"{_kind(name)}>{text}</th>' for name, text in heads.items())
    rows = "".join(_row(run, heads) for run in table)
    return f"""<section id="runs" aria-labelledby="runs-title">
<h2 id="runs-title">Runs</h2>
<div class="edge"><div class="scroll" role="region" aria-label="Runs" tabindex="0">
<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></div>{more}
<p class="notes">✗ did not finish: such a run has no scores, and means are over the others. † had
not converged.</p>
</section>
"""


def environments_section(results: Results) -> str:
    """The table of the environments of the runs, a column each."""
    names = sorted(set(results.runs["environment"]) - {""})
    used = {name: results.environments.get(name, {}) for name in names}
    facts = set[str]().union(*used.values()) - {"id"}

    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in used)
    rows = ""
    for fact in sorted(facts, key=lambda fact: (fact != "device", fact)):
        cells = "".join(_cell(own.get(fact)) for own in used.values())
        rows += f'<tr><th scope="row">{escape(fact)}</th>{cells}</tr>'
    table = "<p>not recorded</p>"
    if used:
        head = f'<thead><tr><th scope="col">Environment</th>{head}</tr></thead>'
        table = f"<table>{head}<tbody>{rows}</tbody></table>"
    scroll = '<div class="scroll" role="region" aria-label="Environments" tabindex="0">'
    return f"""<section id="environments" aria-labelledby="environments-title">
<h2 id="environments-title">Environments</h2>
<div class="edge">{scroll}{table}</div></div>
</section>
"""


def _trouble(run: Mapping[str, Any]) -> int:
    """0 for a run that lacks something, 1 for one that had not converged, 2 for the others."""
    if run["status"] != "ok" or run["reason"]:
        return 0
    return 1 if run["converged"] == "False" else 2


def _row(run: Mapping[str, Any], columns: Iterable[str]) -> str:
    """The row of one run."""
    first, *others = columns
    name = str(run[first])
    long = ' class="long"' if len(name) > _LONG else ""
    cells = "".join(f"<td{_kind(name)}>{escape(_text(name, run[name]))}</td>" for name in others)
    kind = ("failed", "unconverged", "finished")[_trouble(run)]
    return f'<tr class="{kind}"><th scope="row"{long}>{escape(name)}</th>{cells}</tr>'


def _cell(fact: Any) -> str:
    """A plain cell."""
    return f"<td>{'–' if fact in (None, '') else escape(str(fact))}</td>"


def _kind(name: str) -> str:
    """The class of a column, if it has one."""
    if name in _NUMBERS:
        return ' class="number"'
    return ' class="reason"' if name == "reason" else ""


def _text(name: str, value: Any) -> str:
    """One fact of a run as text, a dash if it is unknown."""
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
