"""Verdicts as text for a terminal, Markdown for a pull request, JUnit XML and JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from xml.etree import ElementTree

from bench_uq.check.verdicts import FATAL, VERDICTS, Cell, Verdicts
from bench_uq.score.labels import counted, printable
from bench_uq.score.markdown_text import escape
from bench_uq.store.about import About

#: Rows of a table: a comment on a pull request holds 65,536 characters.
MOST_ROWS = 100
#: Methods that have a line of news.
MOST_NEWS = 6
SIGNS = dict(zip(VERDICTS, ("✗ ",) * 4 + ("? ", "~ ", "+ ", "✓ "), strict=True))


def text(verdicts: Verdicts, title: str) -> str:
    """The news, a table of the cells that need attention, remarks, commands, and a summary line."""
    rows = [list(map(_plain, row)) for row in _rows(verdicts)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_plain(line) for line in news(verdicts)]
    if lines:
        lines.append("")
    lines += ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]

    lines += _more(verdicts)
    for remark in verdicts.remarks:
        lines.append(f"note: {_plain(remark)}")
    for command in verdicts.commands:
        lines.append(f"run: {_plain(command)}")
    lines.append(f"{_plain(title)}: {summary(verdicts)}")
    return "\n".join(lines) + "\n"


def markdown(verdicts: Verdicts, title: str) -> str:
    """The same as Markdown, for a comment or a job's summary."""
    sign = SIGNS.get(verdicts.verdict, "")
    lines = [f"## {sign}{escape(title)}: {summary(verdicts)}", ""]

    told = news(verdicts)
    if told:
        lines += [*(f"- {escape(line)}" for line in told), ""]
    rows = _rows(verdicts)
    for place, row in enumerate(rows):
        lines.append(f"| {' | '.join(map(escape, row))} |")
        if place == 0:
            lines.append("| --- | --- | --- | --- | --- | ---: | ---: | ---: | --- |")
    if rows:
        lines += ["", *map(escape, _more(verdicts)), ""]

    lines += [f"- {escape(remark)}" for remark in verdicts.remarks]
    # Within a fence Markdown escapes nothing, and what is copied must be the command itself.
    if verdicts.commands:
        commands = map(_plain, verdicts.commands)
        lines += ["", "Commands for the missing runs:", "", "```", *commands, "```"]
    return "\n".join(lines).rstrip() + "\n"


def as_json(verdicts: Verdicts, title: str) -> str:
    """Every cell with all its numbers."""
    found: dict[str, object] = {"title": title}
    # A comparison of two results passes no verdict on a build.
    if verdicts.order is VERDICTS:
        found |= {"verdict": verdicts.verdict, "exit_code": verdicts.exit_code}
    found |= {"counts": verdicts.counts()}
    found |= {"commands": verdicts.commands, "remarks": verdicts.remarks}

    names = {"baseline": verdicts.names[0], "now": verdicts.names[1]}
    cells = []
    for cell in verdicts.cells:
        numbers = dataclasses.asdict(cell)
        cells.append({names.get(name, name): value for name, value in numbers.items()})
    return json.dumps({**found, "cells": cells}, indent=1, allow_nan=False) + "\n"


def junit(verdicts: Verdicts, title: str) -> str:
    """One test case per cell, one test suite per method and dataset; inconclusive is an error."""
    root = ElementTree.Element("testsuites", name=printable(title))
    suites: dict[tuple[str, str], ElementTree.Element] = {}
    for cell in verdicts.cells:
        key = cell.dataset, cell.method
        if key not in suites:
            name = printable(f"{cell.method} on {cell.dataset}")
            suites[key] = ElementTree.SubElement(root, "testsuite", name=name)
        _add_case(suites[key], cell, verdicts.about)

    for element in (*suites.values(), root):
        for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
            element.set(name, str(len(element.findall(f".//{tag}"))))
    ElementTree.indent(root)
    written = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{written}\n'


def _add_case(suite: ElementTree.Element, cell: Cell, about: About) -> None:
    """Add the test case of a cell."""
    case = ElementTree.SubElement(suite, "testcase")
    case.set("classname", _plain(f"{cell.dataset}.{cell.method}"))
    case.set("name", _plain(f"{_condition(cell, about)} {cell.metric}"))
    case.set("time", "0")

    message = _plain(f"{cell.verdict}: {cell.rule}")
    if cell.verdict in FATAL:
        result = ElementTree.SubElement(case, "failure", type=cell.verdict, message=message)
    elif cell.verdict == "inconclusive":
        result = ElementTree.SubElement(case, "error", type=cell.verdict, message=message)
    else:
        result = ElementTree.SubElement(case, "system-out")
    numbers = f"baseline {_value(cell.baseline)}, now {_value(cell.now)}, change {_change(cell)}"
    result.text = f"{message}\n{numbers}"


FORMATS: Mapping[str, Callable[[Verdicts, str], str]] = {
    "text": text,
    "markdown": markdown,
    "junit": junit,
    "json": as_json,
}


def summary(verdicts: Verdicts) -> str:
    """The verdict on a build, and the number of cells with each verdict."""
    counts = ", ".join(f"{count:,} {verdict}" for verdict, count in verdicts.counts().items())
    if verdicts.order is not VERDICTS:
        return counts
    return f"{verdicts.verdict} ({counts})"


def news(verdicts: Verdicts) -> list[str]:
    """What happened, a line for each method that changed, and the methods that did not."""
    loud, calm = dict[tuple[str, str], list[Cell]](), dict[str, None]()
    for cell in _loud(verdicts):
        loud.setdefault((cell.method, cell.dataset), []).append(cell)
    for cell in verdicts.cells:
        if (cell.method, cell.dataset) not in loud:
            calm[f"{cell.method} on {cell.dataset}"] = None
    # Where cells without a difference are shown too, not all of them are news.
    if not loud or not verdicts.quiet:
        return []

    lines = []
    for (method, dataset), cells in list(loud.items())[:MOST_NEWS]:
        # Clean data first: what is new there explains most of the rest.
        first = sorted(cells, key=lambda cell: (cell.condition != "clean", _without(cell)))
        told = [_told(cell, verdicts.about) for cell in first[:2]]
        more = f"; {counted(len(cells) - 2, 'more cell')}" if len(cells) > 2 else ""
        lines.append(f"{method} on {dataset}: {', '.join(told)}{more}")
    if len(loud) > MOST_NEWS:
        lines.append(f"and {len(loud) - MOST_NEWS:,} more methods with news")
    if calm:
        more = f" and {len(calm) - MOST_NEWS:,} more" if len(calm) > MOST_NEWS else ""
        lines.append(f"unchanged: {', '.join(list(calm)[:MOST_NEWS])}{more}")
    return lines


def _without(cell: Cell) -> bool:
    """Whether one of the two values of a cell is unknown."""
    return cell.baseline is None or cell.now is None


def _told(cell: Cell, about: About) -> str:
    """A score before and after, with its condition where that is not clean data."""
    if cell.baseline is None and cell.now is None:
        return f"{cell.metric} {cell.verdict}"
    where = "" if cell.condition == "clean" else f" under {_condition(cell, about)}"
    return f"{cell.metric}{where} {_brief(cell.baseline)} -> {_brief(cell.now)}"


def _brief(value: float | None) -> str:
    """A mean with three digits."""
    return "–" if value is None else f"{value:.3g}"


def _rows(verdicts: Verdicts) -> list[list[str]]:
    """Header and rows of the cells that need attention, as far as there is room."""
    rows = [_row(cell, verdicts.about) for cell in _told_cells(verdicts)]
    if not rows:
        return []
    names = ["verdict", "dataset", "method", "condition", "score", *verdicts.names]
    return [[*names, "change", "why"], *rows]


def _loud(verdicts: Verdicts) -> list[Cell]:
    """The cells that need attention, the worst first."""
    loud = [cell for cell in verdicts.cells if cell.verdict not in verdicts.quiet]
    return sorted(loud, key=lambda cell: verdicts.order.index(cell.verdict))


def _told_cells(verdicts: Verdicts) -> list[Cell]:
    """The cells that have a row: of several levels of a score the one that changed most."""
    # Who asks for everything gets every level.
    if not verdicts.quiet:
        return _loud(verdicts)[:MOST_ROWS]

    found = dict[tuple[str, ...], Cell]()
    for cell in _loud(verdicts):
        key = (cell.verdict, cell.dataset, cell.method, cell.condition, cell.metric)
        kept = found.get(key)
        if kept is None or abs(cell.difference or 0) > abs(kept.difference or 0):
            found[key] = cell
    return list(found.values())[:MOST_ROWS]


def _more(verdicts: Verdicts) -> list[str]:
    """A line on the rows that found no room."""
    left = len(_loud(verdicts)) - len(_told_cells(verdicts))
    return [f"... and {left:,} more (--format json holds them all)"] if left > 0 else []


def _plain(text: str) -> str:
    """Text without characters that control a terminal or break XML."""
    return printable(text, keep="ε×–✗✓")


def _row(cell: Cell, about: About) -> list[str]:
    """The texts of a cell's row."""
    score, rule = cell.metric, cell.rule
    if cell.unit not in (None, "score"):
        score = f"{score} ({cell.unit})"
    if cell.detectable is not None:
        rule = f"{rule} (detectable: {_factor(cell, cell.detectable)})"
    verdict = f"{SIGNS.get(cell.verdict, '')}{cell.verdict}"
    names = [verdict, cell.dataset, cell.method, _condition(cell, about), score]
    return [*names, _value(cell.baseline), _value(cell.now), _change(cell), rule]


def _condition(cell: Cell, about: About) -> str:
    """A condition with its level."""
    if cell.level is None:
        return cell.condition
    return f"{cell.condition} {about.of(cell.condition).level_name}={cell.level:g}"


def _value(value: float | None) -> str:
    """A mean with four digits."""
    return "–" if value is None else f"{value:.4g}"


def _change(cell: Cell) -> str:
    """The change on the cell's scale with its interval."""
    if cell.change is None:
        return "–"
    if cell.low is None or cell.high is None:
        return _factor(cell, cell.change)
    interval = f"[{_factor(cell, cell.low)}, {_factor(cell, cell.high)}]"
    return f"{_factor(cell, cell.change)} {interval}"


def _factor(cell: Cell, change: float) -> str:
    """A change as a factor, or as a signed difference."""
    return f"×{change:.3g}" if cell.unit else f"{change:+.3g}"
