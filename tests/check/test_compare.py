"""Two results side by side, neither of them a baseline."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from bench_uq.api.errors import UsageError
from bench_uq.check.compare import SAME, compared
from bench_uq.check.formats import FORMATS
from bench_uq.check.results import SuiteResults
from bench_uq.check.verdicts import Verdicts

MakeResults = Callable[..., SuiteResults]
NLL = (0.100, 0.104, 0.098, 0.101, 0.103)
DOUBLE = [2 * value + 0.001 * place for place, value in enumerate(NLL)]


def verdicts(found: Verdicts) -> dict[tuple[str, str, str], str]:
    """The verdicts by metric, condition and method."""
    return {(cell.metric, cell.condition, cell.method): cell.verdict for cell in found.cells}


def test_verdicts(make_results: MakeResults) -> None:
    """Worse in B is better in A, also under attack; more entropy is only different."""
    a = {"nll": NLL, ("nll", "fgsm", 0.1): DOUBLE, "entropy": NLL, "ece": NLL, "brier": NLL}
    b = {"nll": DOUBLE, ("nll", "fgsm", 0.1): NLL, "entropy": DOUBLE, "ece": NLL}
    b[("brier", None, None, "mnf")] = NLL  # type: ignore[index]

    found = compared(make_results(a), make_results(b))
    assert verdicts(found) == {
        ("nll", "clean", "map"): "better in A",
        ("nll", "fgsm", "map"): "better in B",
        ("entropy", "clean", "map"): "different",
        ("ece", "clean", "map"): "equal",
        ("brier", "clean", "map"): "only in A",
        ("brier", "clean", "mnf"): "only in B",
    }
    assert found.exit_code == 0
    turned = compared(make_results(b), make_results(a))
    assert verdicts(turned)["nll", "clean", "map"] == "better in B"


def test_runs_that_are_not_alike_are_not_compared(make_results: MakeResults) -> None:
    """Other data are named with both values; an attack of other data alone is that of the attack."""
    found = []
    for data in ("1111", "2222"):
        runs = {("map", seed): {"settings": {"data": data}} for seed in range(5)}
        facts = json.dumps({"data of letters": data})
        runs |= {("mnf", seed): {"settings": {"facts": facts}} for seed in range(5)}
        values = {"nll": DOUBLE if found else NLL, ("nll", None, None, "mnf"): NLL}
        values[("ece", "letters", None, "mnf")] = NLL
        found.append(make_results(values, runs=runs))

    cells = {(cell.method, cell.condition): cell for cell in compared(*found).cells}
    assert cells["map", "clean"].verdict == cells["mnf", "letters"].verdict == "not alike"
    assert cells["map", "clean"].rule == "data 1111 in A, 2222 in B"
    assert cells["map", "clean"].p is None
    assert cells["mnf", "clean"].verdict == "equal"


def test_two_sided_students_t(make_results: MakeResults) -> None:
    """One score alone has SciPy's p-value of the logs; seeds that are not shared do not count."""
    now = [value * factor for value, factor in zip(NLL, (1.2, 1.0, 1.4, 1.1, 1.3), strict=True)]
    before = make_results({"nll": NLL})
    (cell,) = compared(before, make_results({"nll": now})).cells
    assert cell.p == pytest.approx(stats.ttest_rel(np.log(now), np.log(NLL)).pvalue)
    (cell,) = compared(before, make_results({"nll": now}, seeds=range(5, 10))).cells
    assert (cell.verdict, cell.seeds) == (SAME, 0)


def test_infinite_seeds_are_not_left_out(make_results: MakeResults) -> None:
    """A result that is infinite at one seed is not better by the seeds at which it is finite."""
    halves = [math.inf, *(value / 2 for value in NLL[1:])]
    (cell,) = compared(make_results({"nll": NLL}), make_results({"nll": halves})).cells
    assert (cell.verdict, cell.now, cell.p) == ("no finite value", None, None)
    assert cell.rule == "no finite value at 1 of the shared seeds"


def test_metrics_of_choice(make_results: MakeResults) -> None:
    """The gated metrics, or those that are named; an unknown one answers with the known."""
    results = make_results({"nll": NLL, "mce": NLL})
    assert {cell.metric for cell in compared(results, results).cells} == {"nll"}
    assert {cell.metric for cell in compared(results, results, ["mce"]).cells} == {"mce"}
    with pytest.raises(UsageError, match="'mec'; did you mean 'mce'"):
        compared(results, results, ["mec"])


def test_formats(make_results: MakeResults) -> None:
    """The news, then a table with the columns A and B, in which only differences have a row."""
    after = {"nll": [9 * value for value in NLL], "ece": NLL}
    found = compared(make_results({"nll": NLL, "ece": NLL}), make_results(after))
    lines = FORMATS["text"](found, "A x, B y").splitlines()
    assert lines[0].endswith("-> 0.911")
    assert lines[2].split()[5:7] == ["A", "B"]
    assert len(lines) == 5
    assert lines[-1] == "A x, B y: 1 better in A, 1 equal"

    written = json.loads(FORMATS["json"](found, "A x, B y"))
    assert "verdict" not in written
    assert written["cells"][1]["B"] == pytest.approx(9 * written["cells"][1]["A"])
