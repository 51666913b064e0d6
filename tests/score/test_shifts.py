"""Tuned against default: intervals by SciPy, and by the sums of a textbook."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench_uq.score.likeness import at_defaults, marked
from bench_uq.score.results import Results
from bench_uq.score.shifts import Shift, shifts
from bench_uq.score.statistics import Spread, paired_interval
from bench_uq.score.trials import Trial
from bench_uq.score.tuning import TunedMethod
from bench_uq.store.derived import GROUP_COLUMNS, GROUPS

TUNED = Trial(0, "digits", "dropout", 1, "dropout[rate=0.2]", {}, 3, 0.1, 1.0, chosen=True)
KEPT = replace(TUNED, number=0, name="dropout")


def scored(
    method: str, values: Mapping[int, float], groups: np.ndarray | None = None, labels: str = "1"
) -> Results:
    """The NLL of one method by seed, with pseudo-values (S, G) if they are given."""
    rows = [[method, seed, value, f"{method} {seed}"] for seed, value in values.items()]
    scores = pd.DataFrame(rows, columns=["method", "seed", "value", "run"])
    scores = scores.assign(dataset="digits", condition="clean", level=math.nan, metric="nll")
    if groups is not None:
        scores[list(GROUP_COLUMNS)] = groups
    runs = scores[["dataset", "method", "seed", "run"]]
    runs = marked(runs.assign(status="ok", labels=labels))
    return Results("hand", runs, scores, scores.iloc[:0])


def shift(tuned: Results, default: Results | None, trial: Trial = TUNED) -> Shift | None:
    """The change of the NLL."""
    method = TunedMethod("dropout", (trial,), {})
    found = shifts(replace(tuned, defaults=default), [method])
    assert found.keys() <= {("dropout", "nll")}
    return found.get(("dropout", "nll"))


def numbered(values: Sequence[float]) -> dict[int, float]:
    return dict(enumerate(values))


def test_over_seeds_alone_it_is_the_paired_interval_of_scipy() -> None:
    """Without pseudo-values, over the seeds of both: the fourth seed of the default is left."""
    ours, theirs = [0.10, 0.14, 0.11], [0.20, 0.21, 0.24]
    default = scored("dropout", numbered([*theirs, 9.0]))
    found = shift(scored(TUNED.name, numbered(ours)), default)

    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert found is not None
    assert found.mean == pytest.approx(-0.1)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.seeds, found.crossed) == (3, False)


def test_with_groups_of_examples_both_are_crossed() -> None:
    """The variance is that of Dorfman, Berbaum and Metz, summed here term by term."""
    random, seeds = np.random.default_rng(3), 4
    of_group = random.normal(0, 0.05, GROUPS)
    ours = 0.1 + of_group + random.normal(0, 0.02, (seeds, GROUPS))
    theirs = 0.3 - of_group + random.normal(0, 0.02, (seeds, GROUPS))
    tuned = scored(TUNED.name, numbered(ours.mean(1).tolist()), ours)
    default = scored("dropout", numbered(theirs.mean(1).tolist()), theirs)
    found = shift(tuned, default)
    assert found is not None
    assert found.crossed

    table = ours - theirs
    by_seed, by_group = table.mean(1), table.mean(0)
    squares, both = 0.0, (seeds - 1) * (GROUPS - 1)
    for seed in range(seeds):
        for group in range(GROUPS):
            rest = table[seed, group] - by_seed[seed] - by_group[group] + table.mean()
            squares += rest**2

    parts = [by_seed.var(ddof=1) / seeds, by_group.var(ddof=1) / GROUPS]
    parts.append(-squares / both / (seeds * GROUPS))
    variance = sum(parts)
    freedom = variance**2 / sum(
        part**2 / degrees
        for part, degrees in zip(parts, (seeds - 1, GROUPS - 1, both), strict=True)
    )
    half = stats.t.ppf(0.975, freedom) * math.sqrt(variance)
    assert (found.low, found.high) == pytest.approx((table.mean() - half, table.mean() + half))

    # Where each seed has test examples of its own, seeds vary by these too.
    folds = replace(tuned, runs=tuned.runs.assign(labels=list("abcd")))
    alone = shift(folds, default)
    assert alone is not None
    assert not alone.crossed


def test_a_chosen_default_changes_nothing() -> None:
    """The difference is 0, without an interval."""
    default = scored("dropout", numbered([0.2, 0.3]))
    # The same run on a GPU may give other digits.
    again = scored("dropout", numbered([0.2, 0.3001]))
    found = shift(again, default, KEPT)
    assert found is not None
    assert (found.mean, found.seeds) == (0.0, 2)
    assert math.isnan(found.low)


def test_an_interval_has_at_least_one_degree_of_freedom() -> None:
    """With a fiftieth of one, Student's t would give an interval of 1e34."""
    low, high = paired_interval([0.1, 0.2], [0.3, 0.3], Spread(0.01, 0.02, 1.0))
    half = stats.t.ppf(0.975, 1) * 0.1
    assert (low, high) == pytest.approx((-0.15 - half, -0.15 + half))


@pytest.mark.parametrize(
    ("ours", "theirs", "mean"),
    [
        ([0.1], [0.3], -0.2),  # one seed
        ([0.1, 0.2], [0.3, 0.4], -0.2),  # differences that are all one number
        ([0.1, math.inf], [0.3, 0.4], None),
        ([0.1, math.inf], [0.3, math.inf], None),
        ([0.1, math.nan], [0.3, 0.4], None),
    ],
)
def test_little_is_known_of_few_values(
    ours: list[float], theirs: list[float], mean: float | None
) -> None:
    """No interval without a spread, and no difference without finite values."""
    found = shift(scored(TUNED.name, numbered(ours)), scored("dropout", numbered(theirs)))
    if mean is None:
        assert found is None
    else:
        assert found is not None
        assert found.mean == pytest.approx(mean)
        assert math.isnan(found.low)
        assert math.isnan(found.high)


def test_nothing_is_known_without_the_untuned_suite() -> None:
    """Nor where the two share no seed."""
    tuned = scored(TUNED.name, {0: 0.1})
    assert shift(tuned, None) is None
    assert shift(tuned, scored("dropout", {1: 0.1})) is None


def test_a_run_is_compared_if_it_differs_in_what_was_tuned_alone() -> None:
    """Other epochs are another budget, unless they were tuned."""
    tuned = {"epochs": 40.0, "learning_rate": 0.01, "facts": '{"tuning": "tuned: 8", "code": "1"}'}
    default = {"epochs": 40.0, "learning_rate": 0.02, "facts": '{"tuning": "defaults"}'}
    assert at_defaults(tuned, default, ["learning_rate"])
    assert not at_defaults(tuned, default, [])
    assert not at_defaults(tuned, {**default, "epochs": 20.0}, ["learning_rate"])
    assert at_defaults(tuned, {**default, "epochs": 20.0}, ["learning_rate", "epochs"])
    other = {**default, "facts": '{"tuning": "defaults", "code": "2"}'}
    assert not at_defaults(tuned, other, ["learning_rate"])
