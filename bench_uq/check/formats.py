"""What the gate found, as text for a terminal, Markdown for a pull request, JUnit XML for a build server, and JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from xml.etree import ElementTree

from bench_uq.check.verdicts import FATAL, VERDICTS, Cell, Outcome
from bench_uq.score.labels import level_name, printable
from bench_uq.score.markdown_text import escape

#: Rows of a table in Markdown, and lines of text: a comment on a pull request holds 65,536 letters.
MOST_ROWS = 100
SIGNS = {
    "missing": "✗",
    "regressed": "✗",
    "inconclusive": "?",
    "changed": "~",
    "improved": "+",
    "pass": "✓",
}


def text(outcome: Outcome, title: str) -> str:
    """Return a table of the cells that do not just pass, what to do about them, and a last line that says it all."""
    rows = [[_plain(part) for part in row] for row in _rows(outcome)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    notes = [f"note: {_plain(remark)}" for remark in outcome.remarks]
    notes += [f"run: {_plain(command)}" for command in outcome.commands]
    return (
        "\n".join([*table, *_more(outcome), *notes, f"{_plain(title)}: {summary(outcome)}"]) + "\n"
    )


def markdown(outcome: Outcome, title: str) -> str:
    """Return the same as Markdown, for a comment or a job's summary."""
    lines = [f"## {_sign(outcome.verdict)}{escape(title)}: {summary(outcome)}", ""]
    if rows := [list(map(escape, row)) for row in _rows(outcome)]:
        rule = [*["---"] * 5, *["---:"] * 3, "---"]
        lines += [f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]]]
        lines += ["", *map(escape, _more(outcome)), ""]
    lines += [f"- {escape(remark)}" for remark in outcome.remarks]
    if outcome.commands:
        lines += [
            "",
            "Missing runs are made with",
            "",
            "```",
            *map(_plain, outcome.commands),
            "```",
        ]
    return "\n".join(lines).rstrip() + "\n"


def as_json(outcome: Outcome, title: str) -> str:
    """Return every cell with all its numbers."""
    names = dict(zip(("baseline", "now"), outcome.names, strict=True))
    found = {
        "title": title,
        **(
            {"verdict": outcome.verdict, "exit_code": outcome.exit_code}
            if outcome.order is VERDICTS
            else {}
        ),
        "counts": outcome.counts(),
        "commands": outcome.commands,
        "remarks": outcome.remarks,
        "cells": [
            {names.get(key, key): value for key, value in dataclasses.asdict(cell).items()}
            for cell in outcome.cells
        ],
    }
    return json.dumps(found, indent=1, allow_nan=False) + "\n"


def junit(outcome: Outcome, title: str) -> str:
    """Return a test case a cell and a test suite a method and dataset; what is inconclusive is an error."""
    root = ElementTree.Element("testsuites", name=printable(title))
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in outcome.cells:
        groups.setdefault((cell.dataset, cell.method), []).append(cell)
    for (dataset, method), cells in groups.items():
        suite = ElementTree.SubElement(root, "testsuite", name=printable(f"{method} on {dataset}"))
        for cell in cells:
            _case(suite, cell)
        _count(suite)
    _count(root)
    ElementTree.indent(root)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        + ElementTree.tostring(root, encoding="unicode")
        + "\n"
    )


def _case(suite: ElementTree.Element, cell: Cell) -> None:
    """Add the test case of a cell."""
    names = {"classname": f"{cell.dataset}.{cell.method}", "name": f"{_shown(cell)} {cell.metric}"}
    case = ElementTree.SubElement(
        suite, "testcase", {name: _plain(value) for name, value in names.items()}, time="0"
    )
    message = _plain(f"{cell.verdict}: {cell.rule}")
    numbers = f"baseline {_value(cell.baseline)}, now {_value(cell.now)}, change {_change(cell)}"
    kind = (
        "failure" if cell.verdict in FATAL else "error" if cell.verdict == "inconclusive" else None
    )
    attributes = {"type": cell.verdict, "message": message} if kind else {}
    ElementTree.SubElement(case, kind or "system-out", attributes).text = f"{message}\n{numbers}"


def _count(element: ElementTree.Element) -> None:
    """Set the counts of a suite."""
    for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
        element.set(name, str(len(element.findall(f".//{tag}"))))


FORMATS: Mapping[str, Callable[[Outcome, str], str]] = {
    "text": text,
    "markdown": markdown,
    "junit": junit,
    "json": as_json,
}


def summary(outcome: Outcome) -> str:
    """Return the verdict on a build, and how many cells have which."""
    counts = ", ".join(f"{count:,} {verdict}" for verdict, count in outcome.counts().items())
    return f"{outcome.verdict} ({counts})" if outcome.order is VERDICTS else counts


def _rows(outcome: Outcome) -> list[list[str]]:
    """Return the heads and the rows of the cells that are worth one, as far as there is room; empty without any."""
    rows = [_row(cell) for cell in _told(outcome)[:MOST_ROWS]]
    return (
        [
            ["verdict", "dataset", "method", "condition", "score", *outcome.names, "change", "why"],
            *rows,
        ]
        if rows
        else []
    )


def _told(outcome: Outcome) -> list[Cell]:
    """Return the cells that are worth a row, sorted by their verdict."""
    loud = [cell for cell in outcome.cells if cell.verdict not in outcome.quiet]
    return sorted(loud, key=lambda cell: outcome.order.index(cell.verdict))


def _more(outcome: Outcome) -> list[str]:
    """Say how many rows were left out."""
    left = len(_told(outcome)) - MOST_ROWS
    return [f"... and {left:,} more (--format json holds them all)"] if left > 0 else []


def _plain(text: str) -> str:
    """Return text that neither a terminal nor XML takes for anything else."""
    return printable(text, keep="ε×–✗✓")


def _sign(verdict: str) -> str:
    """Return a sign before a verdict, empty where none is known."""
    return f"{SIGNS[verdict]} " if verdict in SIGNS else ""


def _row(cell: Cell) -> list[str]:
    """Return the texts of a cell's row."""
    detectable = (
        "" if cell.detectable is None else f" (detectable: {_factor(cell, cell.detectable)})"
    )
    score = f"{cell.metric} ({cell.unit})" if cell.unit not in (None, "score") else cell.metric
    names = [f"{_sign(cell.verdict)}{cell.verdict}", cell.dataset, cell.method, _shown(cell), score]
    return [*names, _value(cell.baseline), _value(cell.now), _change(cell), cell.rule + detectable]


def _shown(cell: Cell) -> str:
    """Return what the method was shown."""
    return (
        cell.condition
        if cell.level is None
        else f"{cell.condition} {level_name(cell.condition)}={cell.level:g}"
    )


def _value(value: float | None) -> str:
    """Return a mean as it is read."""
    return "–" if value is None else f"{value:.4g}"


def _change(cell: Cell) -> str:
    """Return the change on the cell's scale with its interval."""
    if cell.change is None:
        return "–"
    interval = (
        ""
        if cell.low is None or cell.high is None
        else f" [{_factor(cell, cell.low)}, {_factor(cell, cell.high)}]"
    )
    return f"{_factor(cell, cell.change)}{interval}"


def _factor(cell: Cell, change: float) -> str:
    """Return a change as a factor, or a difference with its sign."""
    return f"×{change:.3g}" if cell.unit else f"{change:+.3g}"
