"""Two results side by side, neither of them a baseline."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from bench_uq.api.errors import UsageError
from bench_uq.check.compare import compare_sides
from bench_uq.check.formats import FORMATS
from bench_uq.check.results import Side
from bench_uq.check.verdicts import Outcome

MakeSide = Callable[..., Side]
NLL = (0.100, 0.104, 0.098, 0.101, 0.103)


def verdicts(outcome: Outcome) -> dict[tuple[str, str, str], str]:
    """Return the verdicts by metric, condition and method."""
    return {(cell.metric, cell.condition, cell.method): cell.verdict for cell in outcome.cells}


def test_verdicts(make_side: MakeSide) -> None:
    """Worse in B is better in A, also under attack; more entropy is only different; each side may lack what it will."""
    double = [2 * value + 0.001 * place for place, value in enumerate(NLL)]
    a = {"nll": NLL, ("nll", "fgsm", 0.1): double, "entropy": NLL, "ece": NLL, "brier": NLL}
    b = {
        "nll": double,
        ("nll", "fgsm", 0.1): NLL,
        "entropy": double,
        "ece": NLL,
        ("brier", None, None, "mnf"): NLL,
    }
    outcome = compare_sides(make_side(a), make_side(b))
    assert verdicts(outcome) == {
        ("nll", "clean", "map"): "better in A",
        ("nll", "fgsm", "map"): "better in B",
        ("entropy", "clean", "map"): "different",
        ("ece", "clean", "map"): "equal",
        ("brier", "clean", "map"): "only in A",
        ("brier", "clean", "mnf"): "only in B",
    }
    assert outcome.exit_code == 0
    turned = verdicts(compare_sides(make_side(b), make_side(a)))
    assert turned["nll", "clean", "map"] == "better in B"


def test_two_sided_students_t(make_side: MakeSide) -> None:
    """One score alone has SciPy's p-value of the logs; seeds that are not shared say nothing."""
    now = [value * factor for value, factor in zip(NLL, (1.2, 1.0, 1.4, 1.1, 1.3), strict=True)]
    (cell,) = compare_sides(make_side({"nll": NLL}), make_side({"nll": now})).cells
    assert cell.p == pytest.approx(stats.ttest_rel(np.log(now), np.log(NLL)).pvalue)
    (cell,) = compare_sides(
        make_side({"nll": NLL}), make_side({"nll": now}, seeds=range(5, 10))
    ).cells
    assert (cell.verdict, cell.rule) == ("not told apart", "seeds in common: 0")


def test_metrics_of_choice(make_side: MakeSide) -> None:
    """Those that the gate looks at, or those that are named; an unknown one answers with the known."""
    side = make_side({"nll": NLL, "mce": NLL})
    assert {cell.metric for cell in compare_sides(side, side).cells} == {"nll"}
    assert {cell.metric for cell in compare_sides(side, side, ["mce"]).cells} == {"mce"}
    with pytest.raises(
        UsageError, match="unknown metric in by hand or by hand 'mec'; did you mean 'mce'"
    ):
        compare_sides(side, side, ["mec"])


def test_formats(make_side: MakeSide) -> None:
    """Heads are A and B, rows are what is told apart."""
    outcome = compare_sides(
        make_side({"nll": NLL, "ece": NLL}),
        make_side({"nll": [9 * value for value in NLL], "ece": NLL}),
    )
    lines = FORMATS["text"](outcome, "A x, B y").splitlines()
    assert lines[0].split()[5:7] == ["A", "B"]
    assert len(lines) == 3
    assert lines[-1] == "A x, B y: 1 better in A, 1 equal"
    found = json.loads(FORMATS["json"](outcome, "A x, B y"))
    assert "verdict" not in found
    assert found["cells"][1]["B"] == pytest.approx(9 * found["cells"][1]["A"])
