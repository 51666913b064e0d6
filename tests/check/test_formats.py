"""What the gate prints: every format says the same, and none can be broken by a name."""

from __future__ import annotations

import json
from collections.abc import Callable
from xml.etree import ElementTree

import pytest

from bench_uq.check.formats import FORMATS, MOST_ROWS, summary
from bench_uq.check.margins import Margins
from bench_uq.check.results import Side
from bench_uq.check.rule import check
from bench_uq.check.verdicts import VERDICTS, Outcome

MakeSide = Callable[..., Side]
NLL = (0.100, 0.104, 0.098, 0.101, 0.103)
HOSTILE = "m|@all<b>\x1b[31m&]]>é"


@pytest.fixture
def outcome(make_side: MakeSide) -> Outcome:
    """Return an outcome with every verdict but `changed`, and a method whose name means harm."""
    worse, better, doubt = (
        [value * factor for value, factor in zip(NLL, factors, strict=True)]
        for factors in ((2, 2.1, 2, 2.1, 2), (0.5, 0.51, 0.5, 0.51, 0.5), (1.6, 0.9, 1.5, 1.2, 1.0))
    )
    names = {"same": NLL, "better": better, HOSTILE: worse}
    baseline = {("nll", None, None, name): NLL for name in (*names, "gone")} | {
        ("brier", None, None, "same"): NLL
    }
    now = {("nll", None, None, name): values for name, values in names.items()} | {
        ("brier", None, None, "same"): doubt
    }
    return check(make_side(baseline), make_side(now), Margins())


def test_every_verdict_is_there(outcome: Outcome) -> None:
    """The outcome of these tests is what they take it for, its gravest verdict first."""
    assert list(outcome.counts()) == [name for name in VERDICTS if name != "changed"]
    assert (
        summary(outcome) == "missing (1 missing, 1 regressed, 1 inconclusive, 1 improved, 1 pass)"
    )


def test_text(outcome: Outcome) -> None:
    """A row each, the gravest first, that no name can colour; what to run; the verdict in the last line."""
    lines = FORMATS["text"](outcome, "quick").splitlines()
    assert [line.split()[1] for line in lines[1:5]] == [
        "missing",
        "regressed",
        "inconclusive",
        "improved",
    ]
    assert lines[-1].startswith("quick: missing (1 missing")
    assert (
        lines[-2]
        == "run: bench-uq run --suite quick --methods gone --datasets digits --seeds 0,1,2,3,4"
    )
    assert "\x1b" not in "".join(lines)
    assert "×2.04 [×" in lines[2]
    assert "(detectable: ×" in lines[3]


def test_markdown(outcome: Outcome) -> None:
    """A heading with the verdict and a table of nine columns, whatever stands in a name; nobody is called."""
    lines = FORMATS["markdown"](outcome, "quick").splitlines()
    assert lines[0].startswith("## ✗ quick: missing (")
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 6
    assert all(line.replace("&#124;", "").count("|") == 10 for line in table)
    assert "@all" not in "".join(lines)
    assert "<b>" not in "".join(lines)


def test_junit(outcome: Outcome) -> None:
    """Well-formed XML: a case a cell, a failure where the build fails, an error where the seeds cannot tell."""
    root = ElementTree.fromstring(FORMATS["junit"](outcome, HOSTILE).encode())
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("5", "2", "1")
    suites = root.findall("testsuite")
    assert [suite.get("tests") for suite in suites] == ["1", "1", "1", "2"]
    assert len(root.findall(".//testcase")) == 5
    assert {case.get("type") for case in root.iter("failure")} == {"missing", "regressed"}
    assert "more seeds would tell" in str(next(root.iter("error")).get("message"))


def test_json(outcome: Outcome) -> None:
    """Every cell with all its numbers and full names; what there is not is null, never NaN."""
    found = json.loads(FORMATS["json"](outcome, "quick"), parse_constant=pytest.fail)
    assert (found["verdict"], found["exit_code"]) == ("missing", 1)
    assert found["counts"]["regressed"] == 1
    assert len(found["cells"]) == 5
    cells = {cell["method"]: cell for cell in found["cells"] if cell["metric"] == "nll"}
    assert cells[HOSTILE]["baseline"] == pytest.approx(sum(NLL) / 5)
    assert cells["gone"]["now"] is None
    assert found["commands"] == list(outcome.commands)


def test_there_is_room_for_so_many_rows(make_side: MakeSide) -> None:
    """Of more cells than fit a comment the first are shown, and how many are not."""
    cells = {("nll", f"c{place}", 0.1, None): NLL for place in range(MOST_ROWS + 20)}
    outcome = check(make_side(cells), make_side({("nll", "c0", 0.1, None): NLL}), Margins())
    for form in ("text", "markdown"):
        written = FORMATS[form](outcome, "quick")
        assert written.count("no such score") == MOST_ROWS
        assert "19 more" in written
    assert len(FORMATS["markdown"](outcome, "quick")) < 65_536
