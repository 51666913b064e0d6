"""Means over seeds, by hand; a hole is counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench_uq.score.results import read
from bench_uq.score.summaries import mean_curve, reliability, summarise, underconfidence

CLEAN = ("clean", None)


def points(
    curve: str, seed: int, values: dict[float, object], method: str = "map"
) -> list[dict[str, object]]:
    return [
        {"method": method, "seed": seed, "curve": curve, "x": x, "y": y} for x, y in values.items()
    ]


def scored(values: list[object], metric: str = "nll") -> list[dict[str, object]]:
    return [
        {"method": "map", "seed": seed, "metric": metric, "value": value}
        for seed, value in enumerate(values)
    ]


def test_mean_and_sample_deviation(hand_made: Callable[..., Path]) -> None:
    """(1 + 2 + 6) / 3 = 3 and sqrt((4 + 1 + 9) / 2) = 2.6458."""
    found = summarise(read(hand_made(scored([1, 2, 6]))))["map", "clean", None, "nll"]
    assert (found.mean, found.low, found.high, found.seeds) == (3.0, 1.0, 6.0, 3)
    assert found.sd == pytest.approx(math.sqrt(7))


def test_one_seed_has_no_spread(hand_made: Callable[..., Path]) -> None:
    """A single value has a mean alone."""
    found = summarise(read(hand_made(scored([1]))))["map", "clean", None, "nll"]
    assert found.mean == 1
    assert math.isnan(found.sd)


def test_missing_value_is_counted_out(hand_made: Callable[..., Path]) -> None:
    """An empty value is neither a zero nor a seed."""
    found = summarise(read(hand_made(scored([1, "", 3]))))["map", "clean", None, "nll"]
    assert (found.mean, found.seeds) == (2.0, 2)


def test_infinite_value_stays(hand_made: Callable[..., Path]) -> None:
    """A model that was sure and wrong has an infinite loss, and so has its mean."""
    found = summarise(read(hand_made(scored([1, "inf"]))))["map", "clean", None, "nll"]
    assert found.mean == math.inf


def test_curve_is_the_mean_of_all_seeds(hand_made: Callable[..., Path]) -> None:
    """Where a seed has no value the curve has none either, so that no point rests on fewer seeds than it says."""
    curves = [
        *points("entropy_ecdf", 0, {0: 0.2, 1: 0.6, 2: 1}),
        *points("entropy_ecdf", 1, {0: 0.4, 1: "", 2: 1}),
    ]
    curve = mean_curve(read(hand_made(curves=curves)), "entropy_ecdf", "map", CLEAN)
    assert curve.x.tolist() == [0, 1, 2]
    np.testing.assert_allclose(curve.y, [0.3, math.nan, 1])
    assert curve.seeds == 2


def test_training_ends_with_the_shortest_seed(hand_made: Callable[..., Path]) -> None:
    """The last epochs of the longer of two trainings are no mean over both."""
    curves = [
        *points("training_loss", 0, {1: 3, 2: 2, 3: 1}),
        *points("training_loss", 1, {1: 5, 2: 4}),
    ]
    rows = [{**row, "condition": "train"} for row in curves]
    assert mean_curve(
        read(hand_made(curves=rows)), "training_loss", "map", ("train", None)
    ).y.tolist() == [4, 3]


def test_reliability_pools_the_examples(hand_made: Callable[..., Path]) -> None:
    """Bins of two seeds are one bin in which each counts by its examples; a bin empty in one seed rests on the other.

    Upper bin: shares 1 and 0.5, right in 0.8 and 0.5 of them: (0.8 + 0.25) / 1.5 = 0.7. Lower: the second seed's 0.4.
    """
    curves = [
        *points("reliability_share", 0, {0.1: 0, 0.5: 0, 0.9: 1}),
        *points("reliability_accuracy", 0, {0.9: 0.8}),
        *points("reliability_confidence", 0, {0.9: 0.9}),
        *points("reliability_share", 1, {0.1: 0, 0.5: 0.5, 0.9: 0.5}),
        *points("reliability_accuracy", 1, {0.5: 0.4, 0.9: 0.5}),
        *points("reliability_confidence", 1, {0.5: 0.45, 0.9: 0.9}),
    ]
    results = read(hand_made(curves=curves))
    bins, seeds = reliability(results, "map")
    assert seeds == 2
    assert bins.index.tolist() == [0.5, 0.9]
    assert bins["share"].tolist() == pytest.approx([0.25, 0.75])
    assert bins["accuracy"].tolist() == pytest.approx([0.4, 0.7])
    gap, _ = underconfidence(results, "map")
    assert gap == pytest.approx(0.25 * (0.4 - 0.45) + 0.75 * (0.7 - 0.9))


def test_bin_without_its_accuracy_is_no_zero(hand_made: Callable[..., Path]) -> None:
    """A bin that holds examples but says nothing of them makes the gap unknown."""
    curves = [
        *points("reliability_share", 0, {0.5: 0.5, 0.9: 0.5}),
        *points("reliability_accuracy", 0, {0.9: 1.0}),
        *points("reliability_confidence", 0, {0.5: 0.5, 0.9: 0.9}),
    ]
    gap, _ = underconfidence(read(hand_made(curves=curves)), "map")
    assert math.isnan(gap)


def test_a_hole_in_a_curve_stays_one(hand_made: Callable[..., Path]) -> None:
    """Where one of two seeds has no value there is no mean, the ends are where both have one, a blank seed is none."""
    curves = [
        *points("risk_coverage", 0, {0.1: 1.0, 0.2: 2.0, 0.3: 3.0, 0.4: 4.0, 0.5: 5.0}),
        *points("risk_coverage", 1, {0.2: 4.0, 0.3: "", 0.4: 6.0, 0.5: ""}),
        *points("risk_coverage", 2, {0.1: "", 0.2: ""}),
    ]
    found = mean_curve(read(hand_made(curves=curves)), "risk_coverage", "map", ("clean", None))
    assert found.x.tolist() == [0.2, 0.3, 0.4]
    np.testing.assert_array_equal(found.y, [3.0, math.nan, 5.0])
    assert found.seeds == 2
