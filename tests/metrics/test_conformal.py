"""Conformal sets and intervals: cases by hand, and coverage within its exact law."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import betabinom, chisquare, dirichlet

from bench_uq.api import QUANTILE_LEVELS
from bench_uq.api.errors import UsageError
from bench_uq.api.metric import Metric
from bench_uq.api.task import Predictions
from bench_uq.metrics import _conformal as conformal
from bench_uq.plan.plugins import Plugins

CARDS = Plugins().metrics()
#: Sets of 90 % that 50 examples calibrate, shown 30 more; 5 of 51 ranks lie above the threshold.
CALIBRATING, SHOWN, ABOVE = 50, 30, 5
REPETITIONS = 2000


def labelled(probs: np.ndarray, targets: np.ndarray) -> Predictions:
    """Predictions of classes."""
    return Predictions({"probs": np.asarray(probs), "targets": np.asarray(targets)})


def drawn(generator: np.random.Generator, count: int, classes: int = 4) -> Predictions:
    """Exchangeable predictions that are far from calibrated."""
    probs = dirichlet.rvs([0.5] * classes, count, random_state=generator)
    true = np.sqrt(probs)
    true /= true.sum(axis=1, keepdims=True)
    targets = (generator.random((count, 1)) > true.cumsum(axis=1)).sum(axis=1)
    return labelled(probs, targets.clip(max=classes - 1))


def value(id: str, shown: Predictions, held_out: Predictions) -> float:
    """Score of a metric."""
    assert CARDS[id].applies(shown, held_out)
    return CARDS[id].compute(shown, held_out)


def of_target(targets: list[float]) -> Predictions:
    """Two classes, all examples of the first, which has these probabilities."""
    first = np.array(targets)
    return labelled(np.column_stack([first, 1 - first]), np.zeros(len(first), int))


@pytest.mark.parametrize(
    ("count", "rank"), [(1, None), (8, None), (9, 9), (10, 10), (19, 18), (99, 90), (100, 91)]
)
def test_the_rank_of_the_threshold(count: int, rank: int | None) -> None:
    """It is ceil(0.9 (n + 1)); where that exceeds n, the threshold is infinite."""
    scores = np.random.default_rng(0).permutation(np.arange(1, count + 1)).astype(float)
    assert conformal.threshold(scores) == (rank or math.inf)


def test_lac_by_hand() -> None:
    """Nine held-out examples: the threshold is the largest of their scores, 1 - 0.3."""
    held_out = of_target([0.9, 0.8, 0.3, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5])
    probs = np.array([[0.75, 0.25], [0.71, 0.29], [0.5, 0.5], [0.29, 0.71]])
    shown = labelled(probs, np.array([0, 1, 1, 0]))

    # In the sets: {0}, {0}, {0, 1}, {1}.
    assert value("set_size", shown, held_out) == pytest.approx(5 / 4)
    assert value("coverage", shown, held_out) == 2 / 4
    # Of class 0 one of two, of class 1 one of two.
    assert value("coverage_worst_class", shown, held_out) == 1 / 2
    last = labelled(probs[:3], np.array([0, 1, 0]))
    assert value("coverage_worst_class", last, held_out) == 0.0


def test_aps_and_raps_by_hand() -> None:
    """The mass before a class, a share of its own, and a penalty beyond the fifth rank."""
    probs = np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])
    share = np.random.default_rng(7).random(2)
    expected = np.empty((2, 3))
    expected[0] = [0.8 + share[0] * 0.2, share[0] * 0.5, 0.5 + share[0] * 0.3]
    expected[1] = [share[1] * 0.6, 0.9 + share[1] * 0.1, 0.6 + share[1] * 0.3]
    found = conformal.aps(labelled(probs, np.zeros(2, int)), 7)
    np.testing.assert_allclose(found, expected, rtol=1e-12)

    falling = np.array([[0.4, 0.2, 0.15, 0.1, 0.08, 0.05, 0.02]])
    one = labelled(falling, np.zeros(1, int))
    added = conformal.raps(one, 3, penalty=0.5) - conformal.aps(one, 3)
    np.testing.assert_allclose(added, [[0, 0, 0, 0, 0, 0.5, 1.0]], atol=1e-12)


def scores_by_loop(
    probs: np.ndarray, shares: np.ndarray, penalty: float, free: int
) -> list[dict[int, float]]:
    """The score of each class of each example, class by class from the most probable one on."""
    found = []
    for row, share in zip(probs, shares, strict=True):
        scores, before = dict[int, float](), 0.0
        for rank, k in enumerate(sorted(range(len(row)), key=lambda k: -row[k]), start=1):
            scores[k] = before + share * row[k] + penalty * max(0, rank - free)
            before += row[k]
        found.append(scores)
    return found


@pytest.mark.parametrize(
    ("ending", "penalty", "found"),
    [("_aps", 0.0, conformal.aps_threshold), ("_raps", 0.01, conformal.raps_threshold)],
)
def test_adaptive_sets_by_a_loop(
    ending: str, penalty: float, found: Callable[[Predictions], float]
) -> None:
    """Threshold, size and coverage of predictions are those of the formula, written out."""
    generator = np.random.default_rng(1)
    held_out, shown = drawn(generator, 57, classes=30), drawn(generator, 400, classes=30)
    seeds = conformal.calibrating_seed(held_out), conformal.SHOWN
    scores = []
    for one, seed in zip((held_out, shown), seeds, strict=True):
        shares = np.random.default_rng(seed).random(len(one["probs"]))
        scores.append(scores_by_loop(one["probs"], shares, penalty, free=5))

    of_targets = []
    for own, target in zip(scores[0], held_out["targets"], strict=True):
        of_targets.append(own[target])
    # 0.9 times 58 is 52.2.
    threshold = sorted(of_targets)[53 - 1]
    assert found(held_out) == pytest.approx(threshold, rel=1e-12)
    sizes, covered = 0, 0
    for own, target in zip(scores[1], shown["targets"], strict=True):
        sizes += sum(score <= threshold for score in own.values())
        covered += own[target] <= threshold
    assert value(f"set_size{ending}", shown, held_out) == pytest.approx(sizes / 400)
    assert value(f"coverage{ending}", shown, held_out) == pytest.approx(covered / 400)


def test_the_penalty_makes_other_sets() -> None:
    """With 30 classes the sets of RAPS are not those of APS, so that each has a test of its own."""
    generator = np.random.default_rng(1)
    held_out, shown = drawn(generator, 57, classes=30), drawn(generator, 43, classes=30)
    assert value("set_size_aps", shown, held_out) != value("set_size_raps", shown, held_out)


def test_no_size_is_better_by_itself() -> None:
    """Sizes and worst classes are comparable at equal coverage alone, so no method is the best."""
    sized = [id for id in CARDS if id.startswith(("set_size", "coverage_worst_class"))]
    assert len(sized) == 8
    for id in [*sized, "conformal_width", "mpiw"]:
        assert CARDS[id].direction == "none"
        assert "better at equal" in CARDS[id].formula


def test_raps_without_a_penalty_is_aps() -> None:
    """All scores are equal with a factor of 0, and not with another."""
    shown = drawn(np.random.default_rng(0), 50, classes=12)
    np.testing.assert_array_equal(conformal.raps(shown, 1, 0.0), conformal.aps(shown, 1))
    assert not np.array_equal(conformal.raps(shown, 1), conformal.aps(shown, 1))


def test_a_class_with_few_examples_is_in_every_set() -> None:
    """Of class 0 nine examples give a threshold; of class 1 eight give none."""
    first, second = np.full(9, 0.8), np.full(8, 0.9)
    probs = np.concatenate([first, 1 - second])
    held_out = labelled(np.column_stack([probs, 1 - probs]), np.repeat([0, 1], [9, 8]))
    shown = labelled(np.array([[0.9, 0.1], [0.7, 0.3]]), np.array([0, 0]))

    # The sets: {0, 1} and {1}.
    assert value("set_size_mondrian", shown, held_out) == 1.5
    assert value("coverage_mondrian", shown, held_out) == 0.5


def test_without_a_threshold_everything_is_in_the_set() -> None:
    """Eight held-out examples say nothing at 90 %."""
    held_out, shown = drawn(np.random.default_rng(0), 8), drawn(np.random.default_rng(1), 20)
    for ending in ("", "_aps", "_raps", "_mondrian"):
        assert value(f"set_size{ending}", shown, held_out) == 4
        assert value(f"coverage{ending}", shown, held_out) == 1


def real(low: np.ndarray, high: np.ndarray, targets: np.ndarray) -> Predictions:
    """Predictions of real targets: quantiles on a straight line through two of them."""
    levels = np.array(QUANTILE_LEVELS)
    slope = (high - low)[:, None] / 0.9
    return Predictions({"quantiles": low[:, None] + slope * (levels - 0.05), "targets": targets})


def test_intervals_by_hand() -> None:
    """Intervals widen by the largest of nine distances, or narrow if that is negative."""
    ones = np.ones(9)
    far = real(-ones, ones, np.array([0, 0.5, 1.5, 1.25, -1.75, 0, 0, 0, 0]))
    shown = real(-np.ones(2), np.ones(2), np.array([1.7, 1.8]))
    assert value("conformal_width", shown, far) == pytest.approx(2 + 2 * 0.75)
    assert value("conformal_coverage", shown, far) == 0.5

    near = real(-ones, ones, np.full(9, 0.25))
    assert value("conformal_width", shown, near) == pytest.approx(2 - 2 * 0.75)
    few = real(-np.ones(8), np.ones(8), np.zeros(8))
    assert value("conformal_width", shown, few) == math.inf
    assert value("conformal_coverage", shown, few) == 1.0


def covered_lac(generator: np.random.Generator) -> int:
    """How many of those shown are covered."""
    held_out, shown = drawn(generator, CALIBRATING), drawn(generator, SHOWN)
    return round(SHOWN * value("coverage", shown, held_out))


def covered_randomised(score: Callable[[Predictions, int], np.ndarray]) -> Callable[..., int]:
    """As above, by a score with random shares, which are drawn anew too."""

    def covered(generator: np.random.Generator) -> int:
        scores = []
        for count in (CALIBRATING, SHOWN):
            one = drawn(generator, count)
            each = score(one, int(generator.integers(2**32)))
            scores.append(conformal.of_targets(each, one["targets"]))
        return int(conformal.included(scores[1], conformal.threshold(scores[0])).sum())

    return covered


def covered_mondrian(generator: np.random.Generator) -> int:
    """As above, of the second of three classes, which has as many examples as all above."""

    def of_class(count: int) -> Predictions:
        probs = dirichlet.rvs([0.5] * 3, 2 * count, random_state=generator)
        return labelled(probs, np.tile([1, 2], count))

    held_out, shown = of_class(CALIBRATING), of_class(SHOWN)
    second = labelled(shown["probs"][::2], shown["targets"][::2])
    return round(SHOWN * value("coverage_mondrian", second, held_out))


def covered_cqr(generator: np.random.Generator) -> int:
    """As above, of intervals that are too narrow."""

    def one(count: int) -> Predictions:
        centre, width = generator.normal(size=count), generator.random(count)
        targets = centre + generator.standard_t(3, size=count)
        return real(centre - width, centre + width, targets)

    held_out, shown = one(CALIBRATING), one(SHOWN)
    return round(SHOWN * value("conformal_coverage", shown, held_out))


@pytest.mark.parametrize(
    "covered",
    [
        covered_lac,
        covered_randomised(conformal.aps),
        covered_randomised(conformal.raps),
        covered_mondrian,
        covered_cqr,
    ],
    ids=["LAC", "APS", "RAPS", "Mondrian", "CQR"],
)
def test_coverage_is_beta_binomial(covered: Callable[[np.random.Generator], int]) -> None:
    """Over draws of all examples the number covered has its exact finite-sample law."""
    generator = np.random.default_rng(0)
    counts = np.array([covered(generator) for _ in range(REPETITIONS)])
    law = betabinom(SHOWN, CALIBRATING + 1 - ABOVE, ABOVE)

    error = law.std() / math.sqrt(REPETITIONS)
    assert abs(counts.mean() - law.mean()) < 4 * error
    # Few have less than 21 of 30 covered.
    edges = np.arange(21, SHOWN + 1)
    observed = np.bincount(np.maximum(counts, 21) - 21, minlength=len(edges))
    expected = law.pmf(edges)
    expected[0] = law.cdf(21)
    assert chisquare(observed, REPETITIONS * expected).pvalue > 1e-3


def test_random_shares_are_fixed() -> None:
    """The first examples have the same sets alone; other held-out examples have other shares."""
    generator = np.random.default_rng(0)
    held_out, shown = drawn(generator, 200), drawn(generator, 100)
    first = labelled(shown["probs"][:40], shown["targets"][:40])
    whole = conformal.aps(shown, conformal.SHOWN)
    np.testing.assert_array_equal(whole[:40], conformal.aps(first, conformal.SHOWN))

    other = drawn(generator, 200)
    assert conformal.calibrating_seed(held_out) != conformal.calibrating_seed(other)
    again = labelled(held_out["probs"], held_out["targets"])
    assert value("coverage_aps", shown, held_out) == value("coverage_aps", shown, again)


def test_they_need_held_out_predictions() -> None:
    """Without them, as of results of older versions, there is no score."""
    shown = drawn(np.random.default_rng(0), 20)
    assert not CARDS["coverage"].applies(shown, None)
    unlabelled = Predictions({"probs": shown["probs"]})
    assert CARDS["set_size"].applies(unlabelled, shown)
    assert not CARDS["coverage"].applies(unlabelled, shown)


def test_who_asks_for_a_method_is_told() -> None:
    """The one line of the error says that conformal sets are scores of every run."""
    with pytest.raises(UsageError, match="conformal stands for metrics, which every run has"):
        Plugins().spec("method", "conformal")


@pytest.mark.parametrize(
    "against",
    [
        {"against_clean": True, "against_held_out": True},
        {"against_clean": True, "needs_of_reference": ("probs",)},
        {"against_held_out": True, "needs_of_reference": ("probs",)},
    ],
)
def test_a_metric_is_against_one_thing(against: dict[str, object]) -> None:
    """A card that names two of clean, held-out and a reference's predictions is refused."""
    card = {"id": "both", "title": "", "formula": "", "reference": "", "needs": ()}
    with pytest.raises(ValueError, match="not several"):
        Metric(**card, **against, compute=lambda shown, others: 0.0, direction="none")
