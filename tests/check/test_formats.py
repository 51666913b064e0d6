"""Verdicts as text: every format says the same, and no name can break it."""

from __future__ import annotations

import json
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from bench_uq.check.formats import FORMATS, MOST_ROWS, news
from bench_uq.check.margins import Margins
from bench_uq.check.results import SuiteResults
from bench_uq.check.rule import judge
from bench_uq.check.verdicts import VERDICTS, Verdicts

MakeResults = Callable[..., SuiteResults]
NLL = (0.100, 0.104, 0.098, 0.101, 0.103)
HOSTILE = "m|@all<b>\x1b[31m&]]>é"


def times(*factors: float) -> list[float]:
    """NLL, each seed's times a factor."""
    return [value * factor for value, factor in zip(NLL, factors, strict=True)]


@pytest.fixture
def found(make_results: MakeResults) -> Verdicts:
    """Every verdict of scores but `changed` once, and a method with a hostile name."""
    now = {
        ("nll", None, None, "same"): NLL,
        ("nll", None, None, "better"): times(0.5, 0.51, 0.5, 0.51, 0.5),
        ("nll", None, None, HOSTILE): times(2, 2.1, 2, 2.1, 2),
        ("brier", None, None, "same"): times(1.6, 0.9, 1.5, 1.2, 1.0),
    }
    cells = [*now, ("nll", None, None, "gone")]
    return judge(make_results(dict.fromkeys(cells, NLL)), make_results(now), Margins())


def test_every_verdict_is_there(found: Verdicts) -> None:
    """The fixture holds each verdict that scores alone can have once, the worst first."""
    others = {"changed", "stale", "unlike"}
    assert found.counts() == dict.fromkeys((name for name in VERDICTS if name not in others), 1)


def test_text(found: Verdicts) -> None:
    """The news, one row per cell, the worst first; the command; the verdict in the last line."""
    lines = FORMATS["text"](found, "quick").splitlines()
    table = lines.index("") + 1
    assert len(news(found)) == table - 1
    lines = lines[table:]
    shown = [line.split()[1] for line in lines[1:5]]
    assert shown == ["missing", "regressed", "inconclusive", "improved"]
    assert lines[-1].startswith("quick: missing (1 missing, 1 regressed, 1 inconclusive, ")
    options = "--suite quick --methods gone --datasets digits --seeds 0,1,2,3,4"
    assert lines[-2] == f"run: bench-uq run {options}"
    assert "\x1b" not in "".join(lines)
    assert "×2.04 [×" in lines[2]
    assert "(detectable: ×" in lines[3]


def test_markdown(found: Verdicts) -> None:
    """A heading with the verdict and a table of nine columns; no name makes HTML or a mention."""
    lines = FORMATS["markdown"](found, "quick").splitlines()
    assert lines[0].startswith("## ✗ quick: missing (")
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 6
    assert all(line.replace("&#124;", "").count("|") == 10 for line in table)
    assert "@all" not in "".join(lines)
    assert "<b>" not in "".join(lines)


def test_junit(found: Verdicts) -> None:
    """Well-formed XML: one case per cell, a failure if the build fails, an error if undecided."""
    root = ElementTree.fromstring(FORMATS["junit"](found, HOSTILE).encode())
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("5", "2", "1")
    assert [suite.get("tests") for suite in root.findall("testsuite")] == ["1", "1", "1", "2"]
    assert len(root.findall(".//testcase")) == 5
    assert {case.get("type") for case in root.iter("failure")} == {"missing", "regressed"}
    assert {case.get("type") for case in root.iter("error")} == {"inconclusive"}


def test_json(found: Verdicts) -> None:
    """Every cell with all its numbers and full names; an unknown number is null, never NaN."""
    written = json.loads(FORMATS["json"](found, "quick"), parse_constant=pytest.fail)
    assert (written["verdict"], written["exit_code"]) == ("missing", 1)
    assert (written["counts"], written["commands"]) == (found.counts(), list(found.commands))
    assert len(written["cells"]) == 5
    cells = {cell["method"]: cell for cell in written["cells"] if cell["metric"] == "nll"}
    assert cells[HOSTILE]["baseline"] == pytest.approx(sum(NLL) / 5)
    assert cells["gone"]["now"] is None


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_the_number_of_rows_is_limited(make_results: MakeResults, form: str) -> None:
    """Only the first cells are shown, as many as fit a comment, and how many are not."""
    cells = {("nll", f"c{place}", 0.1, None): NLL for place in range(MOST_ROWS + 20)}
    now = make_results({("nll", "c0", 0.1, None): NLL})
    written = FORMATS[form](judge(make_results(cells), now, Margins()), "quick")
    assert written.count("score missing") == MOST_ROWS
    assert "19 more" in written
    assert len(written) < 65_536 or form == "text"


def test_news_come_first(make_results: MakeResults) -> None:
    """Clean scores before and after, how many more cells, and the methods that did not change."""
    fall = [0.3, 0.31, 0.29, 0.3, 0.32]
    now = {("nll", "fgsm", level, "same"): fall for level in (0.1, 0.2)}
    now |= {("nll", None, None, "same"): times(4, 4.1, 4, 4.1, 4), ("nll", None, None, "calm"): NLL}
    before = dict.fromkeys(now, NLL)
    found = judge(make_results(before), make_results(now), Margins())
    first, *others = news(found)
    assert first.startswith("same on digits: nll 0.")
    assert " -> " in first
    assert first.endswith("; 1 more cell")
    assert others == ["unchanged: calm on digits"]
    # Of two levels of one score the one that changed most has a row.
    rows = [
        line
        for line in FORMATS["markdown"](found, "quick").splitlines()
        if "fgsm" in line and line.startswith("|")
    ]
    assert len(rows) == 1


def test_news_count_the_methods_that_they_do_not_name(make_results: MakeResults) -> None:
    """Of many unchanged methods some are named, and the others counted."""
    calm = {("nll", None, None, f"calm{place}"): NLL for place in range(9)}
    before = calm | {("nll", None, None, "loud"): NLL}
    now = calm | {("nll", None, None, "loud"): times(4, 4.1, 4, 4.1, 4)}
    *_, last = news(judge(make_results(before), make_results(now), Margins()))
    assert last.startswith("unchanged: calm0 on digits, calm1 on digits, ")
    assert last.endswith("calm5 on digits and 3 more")
