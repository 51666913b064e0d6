"""Means over seeds, by hand; a hole is counted."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, select
from bench_uq.score.summaries import (
    clean_examples,
    consistency,
    mean_curve,
    reliability,
    summarise,
    underconfidence,
)
from bench_uq.score.summarise import summary

ByHand = Callable[..., Results]
CLEAN = ("clean", None)


@pytest.mark.parametrize(
    ("values", "mean", "sd", "seeds"),
    [
        ([1, 2, 6], 3, math.sqrt(7), 3),  # sqrt((4 + 1 + 9) / 2)
        ([1], 1, math.nan, 1),
        ([1, "inf"], math.inf, math.nan, 1),  # a model that was sure and wrong
    ],
)
def test_mean_and_sample_deviation(
    by_hand: ByHand, values: list[object], mean: float, sd: float, seeds: int
) -> None:
    """A score's mean, sample deviation, ends and number of seeds."""
    found = summarise(by_hand({("map", "nll"): values}))["map", "clean", None, "nll"]
    known = list(map(float, values))  # type: ignore[arg-type]
    assert (found.mean, found.low, found.high) == (mean, min(known), max(known))
    assert (found.seeds, found.lacking) == (seeds, len(values) - seeds)
    assert found.sd == pytest.approx(sd, nan_ok=True)


@pytest.mark.parametrize("holes", [[1, "", 3], [1, "", "inf"]])
def test_a_score_that_a_seed_lacks_has_no_mean(by_hand: ByHand, holes: list[object]) -> None:
    """In table, figure and frame: that of the other seeds would be one of easier seeds."""
    results = by_hand({("map", "nll"): holes, ("mnf", "nll"): [1, 2, 3]})
    analysis = analyse(results)
    found = analysis.summaries["map", "clean", None, "nll"]
    numbers = (found.mean, found.sd, found.low, found.high)
    assert all(map(math.isnan, numbers))
    assert (found.seeds, found.lacking) == (sum(type(one) is int for one in holes), 3 - found.seeds)
    assert analysis.drawn("map", "clean", None, "nll") is None

    frame = summary(results.scores).set_index("method")
    assert frame.loc["map", ["mean", "sd", "low", "high", "ci_low"]].isna().all()
    assert frame["seeds"].to_dict() == {"map": found.seeds, "mnf": 3}


@pytest.mark.parametrize(
    ("seeds", "x", "y", "count"),
    [
        (({0: 0.2, 1: 0.6, 2: 1}, {0: 0.4, 1: "", 2: 1}), [0, 1, 2], [0.3, math.nan, 1], 2),
        (
            # The ends are where both seeds have a value, and a blank seed is none.
            (
                {0.1: 1.0, 0.2: 2.0, 0.3: 3.0, 0.4: 4.0, 0.5: 5.0},
                {0.2: 4.0, 0.3: "", 0.4: 6.0, 0.5: ""},
                {0.1: "", 0.2: ""},
            ),
            *([0.2, 0.3, 0.4], [3.0, math.nan, 5.0], 2),
        ),
    ],
)
def test_a_curve_is_the_mean_of_all_seeds(
    by_hand: ByHand, seeds: tuple[dict[float, object]], x: list[float], y: list[float], count: int
) -> None:
    """Where a seed has no value the curve has none: no point rests on fewer seeds than it says."""
    curves = {("map", seed, "risk_coverage"): points for seed, points in enumerate(seeds)}
    found = mean_curve(by_hand(curves=curves), "risk_coverage", "map", CLEAN)
    assert found.x.tolist() == x
    np.testing.assert_allclose(found.y, y)
    assert found.seeds == count


def test_training_ends_with_the_shortest_seed(by_hand: ByHand) -> None:
    """The last epochs of the longer of two trainings are no mean over both."""
    epochs = ({1: 3, 2: 2, 3: 1}, {1: 5, 2: 4})
    curves = {("map", seed, "training_loss", "train"): own for seed, own in enumerate(epochs)}
    found = mean_curve(by_hand(curves=curves), "training_loss", "map", ("train", None))
    assert found.y.tolist() == [4, 3]


def test_reliability_pools_the_examples(by_hand: ByHand) -> None:
    """Bins of two seeds are one bin in which each counts by its examples.

    Upper bin: shares 1 and 0.5, right in 0.8 and 0.5 of them: (0.8 + 0.25) / 1.5 = 0.7. The lower
    one, empty in the first seed, is the second seed's 0.4.
    """
    curves = {
        ("map", 0, "reliability_share"): {0.1: 0, 0.5: 0, 0.9: 1},
        ("map", 0, "reliability_accuracy"): {0.9: 0.8},
        ("map", 0, "reliability_confidence"): {0.9: 0.9},
        ("map", 1, "reliability_share"): {0.1: 0, 0.5: 0.5, 0.9: 0.5},
        ("map", 1, "reliability_accuracy"): {0.5: 0.4, 0.9: 0.5},
        ("map", 1, "reliability_confidence"): {0.5: 0.45, 0.9: 0.9},
    }
    results = by_hand(curves=curves)
    bins, seeds = reliability(results, "map")
    assert seeds == 2
    assert bins.index.tolist() == [0.5, 0.9]
    assert bins["share"].tolist() == pytest.approx([0.25, 0.75])
    assert bins["accuracy"].tolist() == pytest.approx([0.4, 0.7])
    gap, _ = underconfidence(results, "map")
    assert gap == pytest.approx(0.25 * (0.4 - 0.45) + 0.75 * (0.7 - 0.9))

    # A bin that holds examples but says nothing of them makes the gap unknown.
    curves = {
        ("map", 0, "reliability_share"): {0.5: 0.5, 0.9: 0.5},
        ("map", 0, "reliability_accuracy"): {0.9: 1.0},
        ("map", 0, "reliability_confidence"): {0.5: 0.5, 0.9: 0.9},
    }
    gap, _ = underconfidence(by_hand(curves=curves), "map")
    assert math.isnan(gap)


def test_reliability_pools_the_kinds_of_a_corruption(by_hand: ByHand) -> None:
    """Two kinds at a level are one set of examples, by their shares; other levels are left out."""
    curves = {}
    for kind, share, accuracy in (("a", 1.0, 0.8), ("b", 0.5, 0.5)):
        where = (f"corruption[kind={kind}]", 3.0)
        curves["map", 0, "reliability_share", *where] = {0.5: 1 - share, 0.9: share}
        curves["map", 0, "reliability_accuracy", *where] = {0.5: 0.4, 0.9: accuracy}
        curves["map", 0, "reliability_confidence", *where] = {0.5: 0.45, 0.9: 0.9}
        curves["map", 0, "reliability_share", where[0], 5.0] = {0.1: 1.0}

    places = [(f"corruption[kind={kind}]", 3.0) for kind in "ab"]
    bins, seeds = reliability(by_hand(curves=curves), "map", places)
    assert seeds == 1
    assert bins["share"].tolist() == pytest.approx([0.25, 0.75])
    assert bins["accuracy"].tolist() == pytest.approx([0.4, (0.8 + 0.25) / 1.5])


def test_consistency_bars_are_quantiles_of_a_binomial() -> None:
    """Bins of 300, 20 and 1 of 321 examples: the least counts that 5 and 95 % do not exceed."""
    counts, confidences = [300, 20, 1], [0.9, 0.55, 0.3]
    bins = pd.DataFrame({"share": np.array(counts) / 321, "confidence": confidences})
    found = consistency(bins, 321)
    for place, (count, confidence) in enumerate(zip(counts, confidences, strict=True)):
        law = stats.binom(count, confidence)
        for name, share in (("low", 0.05), ("high", 0.95)):
            least = next(k for k in range(count + 1) if law.cdf(k) >= share)
            assert found[name][place] == pytest.approx(least / count)
    # No accuracy of a single example speaks against a confidence of 0.3.
    assert found.loc[2].tolist() == [0, 1]


def test_calibrated_bins_lie_within_their_bars() -> None:
    """Of forecasts that come true as often as they say, at least 90 % of the bins, and not all."""
    generator = np.random.default_rng(0)
    inside = list[bool]()
    for _ in range(400):
        confidence = generator.uniform(0.5, 1, 600)
        right = generator.random(600) < confidence
        place = np.minimum(((confidence - 0.5) * 10).astype(int), 4)
        rows = []
        for number in range(5):
            own = place == number
            rows.append((own.mean(), right[own].mean(), confidence[own].mean()))
        bins = pd.DataFrame(rows, columns=["share", "accuracy", "confidence"])
        bars = consistency(bins, 600)
        inside += bins["accuracy"].between(bars["low"] - 1e-9, bars["high"] + 1e-9).tolist()
    assert 0.90 < np.mean(inside) < 0.95


def test_examples_are_known_in_a_report_of_other_scores(by_hand: ByHand) -> None:
    """The fewest of the seeds, though a report shows the accuracy alone; unknown without any."""
    scores = {("map", "examples"): [360, 350], ("map", "accuracy"): [0.5, 0.6]}
    narrow = select(by_hand({**scores, ("mnf", "accuracy"): 0.5}), metrics=["accuracy"])
    assert clean_examples(narrow, "map") == 350
    assert clean_examples(narrow, "mnf") is None
