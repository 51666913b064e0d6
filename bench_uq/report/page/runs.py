"""The runs and environments of a page, as HTML that needs no script."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from bench_uq.report.page.elements import COLUMN, ROW, each, section
from bench_uq.score.results import Results

_HEADS = {
    "run": "Run",
    "status": "Status",
    "reason": "Reason",
    "diagnosis": "Not converged",
    "method": "Method",
    "dataset": "Dataset",
    "seed": "Seed",
    "network": "Network",
    "epochs": "Epochs",
    "draws": "Draws",
    "batch": "Batch",
    "precision": "Precision",
    "learning_rate": "Learning rate",
    "schedule": "Schedule",
    "warmup": "Warm-up",
    "weight_decay": "Weight decay",
    "clip": "Clipped at",
    "validation": "Held out",
    "evaluate_on": "Evaluated on",
    "trained_on": "Training examples",
    "tested_on": "Test examples",
    "train_images": "train_images",
    "test_images": "test_images",
    "attack_images": "attack_images",
    "shift_images": "shift_images",
    "method_full": "Options",
    "data": "Content of data",
    "reference": "Reference",
    "lacking": "Not compared with it",
    "measured": "Measured by the method",
    "left_out": "Left out of means",
    "parameters": "Parameters",
    "train_seconds": "Training (s)",
    "seconds_per_1000": "1,000 predictions (s)",
    "peak_memory": "Peak memory (MB)",
    "environment": "Environment",
}
#: Classes of the cells of columns.
_NUMBERS = [
    "seed",
    "epochs",
    "draws",
    "batch",
    "learning_rate",
    "warmup",
    "weight_decay",
    "clip",
    "validation",
    "trained_on",
    "tested_on",
    "train_images",
    "test_images",
    "attack_images",
    "shift_images",
    "parameters",
    "train_seconds",
    "seconds_per_1000",
    "peak_memory",
]
_CLASSES = dict.fromkeys(_NUMBERS, ' class="number"')
_CLASSES |= dict.fromkeys(["reason", "diagnosis"], ' class="reason"')
#: Columns of numbers that are no counts.
_FRACTIONS = {"validation", "learning_rate", "warmup", "weight_decay", "clip"}
#: Columns that stay where all runs have the same; others are then a sentence.
_KEPT = {"run", "status", "reason", "diagnosis", "method", "dataset", "seed"}
#: Signs from which the name of a run is broken however wide the screen is.
_LONG = 60
#: Rows of the table of runs: a browser lays out no more at once, and nobody reads them.
MOST_RUNS = 1000


def runs_section(results: Results) -> str:
    """The table of runs: failed ones first, then unconverged ones."""
    order = results.methods.index
    table: list[Mapping[str, Any]] = results.runs.to_dict("records")  # type: ignore[assignment]
    table.sort(key=lambda run: (_trouble(run), run["dataset"], order(run["method"]), run["seed"]))

    every, table = table, table[:MOST_RUNS]
    left = len(every) - len(table)
    more = ""
    if left > 0:
        link = '<a href="#downloads">downloads</a>'
        more = f'\n<p class="notes">and {left:,} more, all in runs.csv ({link})</p>'

    columns, shared, head = [], list[str](), ""
    for name, text in _HEADS.items():
        found = {_text(name, run[name]) for run in every}
        # A column without any fact is left out, one with a single fact is a sentence.
        if found == {"–"}:
            continue
        if name not in _KEPT and len(found) == 1 and len(every) > 1:
            # A setting of 0 is off, or stands for all.
            if found != {"0"}:
                shared.append(f"{text[:1].lower()}{text[1:]} {found.pop()}")
            continue
        columns.append(name)
        head += each(COLUMN + _CLASSES.get(name, ""), [text])
    same = f'<p class="notes">All runs: {escape(", ".join(shared))}.</p>\n' if shared else ""

    rows = ""
    for run in table:
        rows += _row(run, columns)
    scroll = '<div class="scroll" role="region" aria-label="Runs" tabindex="0">'
    body = f"""{same}<div class="edge">{scroll}
<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></div>{more}
<p class="notes">✗ did not finish: such a run has no scores, and means are over the others. Not
converged: what its method says of it.</p>"""
    return section("runs", "Runs", body)


def environments_section(results: Results) -> str:
    """The table of the environments of the runs, a column each."""
    names = sorted(set(results.runs["environment"]) - {""})
    used = {name: results.environments.get(name, {}) for name in names}
    facts = set[str]().union(*used.values()) - {"id"}

    # The device decides more than all versions: it stands first.
    rows = []
    for fact in sorted(facts, key=lambda fact: (fact != "device", fact)):
        cells = [_known(own.get(fact)) for own in used.values()]
        rows.append(each(ROW, [escape(fact)]) + each("td", cells))
    table = "<p>not recorded</p>"
    if used:
        head = each(COLUMN, ["Environment", *map(escape, used)])
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{each('tr', rows)}</tbody></table>"

    scroll = '<div class="scroll" role="region" aria-label="Environments" tabindex="0">'
    body = f'<div class="edge">{scroll}{table}</div></div>'
    return section("environments", "Environments", body)


def _trouble(run: Mapping[str, Any]) -> int:
    """0 for a run that lacks something, 1 for one that had not converged, 2 for the others."""
    if run["status"] != "ok" or run["reason"]:
        return 0
    if run["diagnosis"]:
        return 1
    return 2


def _row(run: Mapping[str, Any], columns: Iterable[str]) -> str:
    """The row of one run."""
    first, *others = columns
    head, name = ROW, str(run[first])
    if len(name) > _LONG:
        head += ' class="long"'

    cells = each(head, [escape(name)])
    for column in others:
        text = escape(_text(column, run[column]))
        cells += each("td" + _CLASSES.get(column, ""), [text])
    kind = ("failed", "unconverged", "finished")[_trouble(run)]
    return f'<tr class="{kind}">{cells}</tr>'


def _known(fact: Any) -> str:
    """One fact of an environment, a dash if it is unknown."""
    if fact in (None, ""):
        return "–"
    return escape(str(fact))


def _text(name: str, value: Any) -> str:
    """One fact of a run as text, a dash if it is unknown."""
    if name == "status":
        if value == "ok":
            return "✓ ok"
        return f"✗ {value}"
    if name == "seed":
        return str(value)
    if not isinstance(value, float):
        return str(value) or "–"

    if math.isnan(value):
        return "–"
    if name in _FRACTIONS:
        return f"{value:g}"
    if name == "peak_memory":
        return f"{value / 1e6:,.0f}"
    # Three digits of a number above 999 would be written as a power of ten.
    if "seconds" in name and value < 100:
        return f"{value:,.3g}"
    return f"{value:,.0f}"
