"""Deep ensemble equivalents of results by hand, and their table."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from bench_uq.report.tables.equivalent import BOUNDS, equivalent_table
from bench_uq.score import equivalent
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results


@pytest.fixture
def suite(by_hand: Callable[..., Results]) -> Results:
    """Results of two ensembles and of methods beside them, two seeds each."""
    curves = {}
    for seed, shift in ((0, 0.1), (1, -0.1)):
        small = {1: 1.0 + shift, 2: 0.8 + shift}
        large = {1: 1.0 + shift, 2: 0.8 + shift, 3: 0.7 + shift}
        curves["ensemble[members=2]", seed, "members_nll"] = small
        curves["ensemble[members=3]", seed, "members_nll"] = large
    scores = {
        ("ensemble[members=2]", "nll"): [0.9, 0.7],
        ("ensemble[members=3]", "nll"): [0.8, 0.6],
        ("map", "nll"): [1.2, 1.1],
        ("dropout", "nll"): [0.9, 0.8],
        ("mnf", "nll"): [0.75, 0.5],
        ("broken", "nll"): [0.75, math.inf],
        ("wild", "nll"): [1.2, 0.5],
    }
    return by_hand(scores, curves)


def test_methods_lie_on_the_mean_curve_of_the_largest(suite: Results) -> None:
    """It is the mean over seeds; seeds of each method are read off it one by one."""
    found = equivalent.equivalents(suite, suite.methods)
    assert found is not None
    assert (found.ensemble, found.networks) == ("ensemble[members=3]", 3)
    assert found.found.keys() == {
        (name, "nll") for name in ("ensemble[members=2]", "map", "dropout", "mnf", "wild")
    }
    assert found.of("dropout")["nll"].values == pytest.approx((1.5, 2.0))
    assert found.of("map")["nll"].below == 2
    assert found.of("mnf")["nll"].above == 1


def test_without_an_ensemble_there_is_none(suite: Results) -> None:
    """Nor where the ensemble is not alike."""
    assert equivalent.equivalents(suite, ["map", "dropout", "mnf"]) is None


def test_the_table(suite: Results) -> None:
    """A mean with its spread, bounds where seeds lie beyond the ends, and what these are."""
    table = equivalent_table(analyse(suite))
    assert table is not None
    cells = {row.method: row.cells[0] for row in table.rows}
    assert cells["dropout"].mean + cells["dropout"].beside == "1.8 ± 0.4"
    assert cells["map"].mean + cells["map"].beside == "< 1.0"
    assert cells["mnf"].mean + cells["mnf"].beside == "> 2.8"
    assert cells["wild"].mean + cells["wild"].beside == "1.0 to 3.0"
    assert "ensemble[members=3]" not in cells
    assert BOUNDS in table.remarks
    assert "3 of ensemble[members=3]" in table.subject
