"""What seeds can tell, against SciPy, published tables and simulation."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from bench_uq.score.statistics import (
    Ranks,
    cliques,
    compare,
    critical_difference,
    detectable_difference,
    holm,
    interval,
    paired_p,
    ranks,
    seeds_for,
)


def by_seed(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


def test_interval_is_students() -> None:
    """1, 2, 3: mean 2, standard error 1/sqrt 3, t of two degrees of freedom 4.3027."""
    assert interval([1, 2, 3]) == pytest.approx(
        (2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3)), abs=1e-6
    )
    assert all(map(math.isnan, interval([1.0])))


def test_holm_by_hand() -> None:
    """0.01 x 4, 0.02 x 3, 0.03 x 2, 0.04 x 1, each at least the one before."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_paired_p_is_scipys() -> None:
    """The same p-value as scipy.stats.ttest_rel."""
    random = np.random.default_rng(0)
    for count in (2, 3, 10):
        one, other = random.normal(size=(2, count))
        assert paired_p(one, other) == pytest.approx(stats.ttest_rel(one, other).pvalue)


def test_paired_p_without_spread() -> None:
    """Seeds that all differ by one number give the sign test's answer, not certainty; seeds that do
    not vary none.
    """
    assert paired_p([0.3, 0.5, 0.4], [0.2, 0.4, 0.3]) == 0.25
    assert paired_p([0.3, 0.3, 0.3], [0.2, 0.2, 0.2]) == 1.0
    assert paired_p([0.1 + 0.2, 0.5], [0.3, 0.5]) == pytest.approx(1.0)
    assert paired_p([1.0], [0.0]) == 1.0


def test_compare_bolds_the_best_and_its_ties() -> None:
    """A method that is worse on every seed by far more than its spread is worse; one within the
    spread is tied.
    """
    values = {
        "good": by_seed(0.90, 0.91, 0.92, 0.93, 0.94),
        "close": by_seed(0.91, 0.90, 0.92, 0.92, 0.94),
        "bad": by_seed(0.50, 0.51, 0.53, 0.53, 0.54),
        "alone": {99: 0.99},
    }

    found = compare(values, "higher")
    assert found is not None
    assert (found.best, found.tied, found.apart) == ("good", ("good", "close"), ("alone",))
    assert list(found.worse) == ["bad"]
    assert found.worse["bad"] < 0.001
    assert found.behind == pytest.approx({"close": 0.002, "bad": 0.398})
    assert found.seeds == 5

    negated = {}
    for name, own in values.items():
        negated[name] = {seed: -value for seed, value in own.items()}
    turned = compare(negated, "lower")
    assert turned is not None
    assert turned.tied == found.tied
    assert turned.behind == pytest.approx(found.behind)


def test_a_method_is_not_worse_for_seeds_that_others_lack() -> None:
    """One that is better on every shared seed loses to nobody, whatever the mean over further seeds
    is.
    """
    many = {seed: 0.80 + 0.001 * (seed % 3) for seed in range(5)} | dict.fromkeys(
        range(5, 10), 0.95
    )
    few = {seed: many[seed] + 0.05 + 0.001 * seed for seed in range(5)}
    found = compare({"many": many, "few": few}, "higher")
    assert found is not None
    assert (found.best, list(found.worse)) == ("few", ["many"])
    assert found.behind["many"] == pytest.approx(0.052)


def test_the_best_has_the_best_mean_of_those_that_none_beats() -> None:
    """A failed seed of a third method changes nothing of which of two has the better mean, as a
    table shows it.
    """
    values = {
        "a": by_seed(0.020, 0.011, 0.016),
        "b": by_seed(0.019, 0.017, 0.018),
        "c": {0: 0.05, 2: 0.04},
    }
    found = compare(values, "lower")
    assert found is not None
    assert (found.best, found.tied) == ("a", ("a", "b", "c"))


def test_whatever_is_worse_is_behind() -> None:
    """On random seeds, some missing, nothing is called worse that is ahead, and the best is beaten
    by none.
    """
    random = np.random.default_rng(0)
    for _ in range(300):
        values = {}
        for place, name in enumerate("abcd"):
            values[name] = {
                seed: random.normal(place, 0.4) for seed in range(8) if random.random() < 0.7
            }
        found = compare(values, random.choice(["higher", "lower"]))
        if found is not None:
            assert all(found.behind[name] > 0 for name in found.worse)
            assert {found.best, *found.tied, *found.worse, *found.apart} == set(values)


@pytest.mark.parametrize("strange", [math.inf, math.nan])
def test_a_value_that_is_not_finite_is_compared_with_none(strange: float) -> None:
    """It is neither tied nor worse, and the rest is compared without it."""
    values = {
        "a": by_seed(1.0, 1.1, 1.2),
        "b": by_seed(1.1, 1.15, 1.25),
        "c": by_seed(0.5, 0.6, strange),
    }
    found = compare(values, "lower")
    assert found is not None
    assert (found.tied, found.apart) == (("a", "b"), ("c",))


def test_detectable_difference_of_a_column() -> None:
    """It is that of the fewest shared seeds, the middle spread of all pairs, and all pairs."""
    values = {
        "a": by_seed(1, 2, 3, 4),
        "b": by_seed(1, 2.2, 3.1, 4.4),
        "c": {0: 1.3, 1: 2.0, 2: 3.4},
    }
    spreads = [
        np.std(np.subtract(one, other), ddof=1)
        for one, other in (
            ([1, 2, 3, 4], [1, 2.2, 3.1, 4.4]),
            ([1, 2, 3], [1.3, 2.0, 3.4]),
            ([1, 2.2, 3.1], [1.3, 2.0, 3.4]),
        )
    ]

    found = compare(values, "lower")
    assert found is not None
    assert found.seeds == 3
    assert found.detectable == pytest.approx(detectable_difference(sorted(spreads)[1], 3, 3))


def test_compare_needs_two_methods_that_share_two_seeds() -> None:
    """One seed each, or no seed in common, compares nothing."""
    assert compare({"a": by_seed(1.0), "b": by_seed(2.0)}, "lower") is None
    assert compare({"a": {0: 1.0, 1: 1.1}, "b": {2: 2.0, 3: 2.1}}, "lower") is None
    assert compare({"a": by_seed(1.0, 2.0)}, "lower") is None


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_equal_methods_are_called_worse_at_most_as_often_as_stated(seeds: int) -> None:
    """Five equal methods, seeds that matter: in at most 5 % of tables (and 3 standard errors) one
    is not tied.
    """
    random, tables, wrong = np.random.default_rng(seeds), 500, 0
    for _ in range(tables):
        noise = random.normal(size=(5, seeds)) + random.normal(size=seeds)
        found = compare({str(name): by_seed(*row) for name, row in enumerate(noise)}, "higher")
        assert found is not None
        wrong += bool(found.worse)
    assert wrong / tables <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / tables)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_detectable_difference_is_found_as_often_as_stated(seeds: int) -> None:
    """Two methods that differ by it are told apart in 80 % of simulated tables, give or take 3
    standard errors.
    """
    random, tables = np.random.default_rng(seeds), 2000
    shift = detectable_difference(1.0, seeds)
    differences = random.normal(shift, 1.0, size=(tables, seeds))
    found = np.mean([paired_p(row, np.zeros(seeds)) <= 0.05 for row in differences])
    assert found == pytest.approx(0.8, abs=3 * math.sqrt(0.16 / tables))


def test_detectable_difference_grows_with_comparisons_and_shrinks_with_seeds() -> None:
    """More pairs to correct for make it larger, more seeds smaller; it scales with the spread."""
    assert detectable_difference(1, 3) < detectable_difference(1, 3, 10)
    assert detectable_difference(1, 3) > detectable_difference(1, 10)
    assert detectable_difference(2, 5) == pytest.approx(2 * detectable_difference(1, 5))
    assert math.isnan(detectable_difference(0, 3))
    assert math.isnan(detectable_difference(1, 1))


@pytest.mark.parametrize(
    ("methods", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)]
)
def test_critical_difference_is_demsars_table(methods: int, q: float) -> None:
    """The q of Demšar 2006, Table 5a, at 0.05."""
    scale = math.sqrt(methods * (methods + 1) / (6 * 30))
    assert critical_difference(methods, 30) == pytest.approx(q * scale, abs=0.001 * scale)


def test_ranks_by_hand() -> None:
    """Two ties share the mean of their ranks; a dataset that a method lacks does not count."""
    means = {
        "a": {"d1": 0.9, "d2": 0.8, "d3": 0.7, "d4": 0.1},
        "b": {"d1": 0.8, "d2": 0.8, "d3": 0.6, "d4": 0.9},
        "c": {"d1": 0.7, "d2": 0.1, "d3": 0.9},
    }

    found = ranks(means, "higher")
    assert found is not None
    assert found.mean == pytest.approx(
        {"a": (1 + 1.5 + 2) / 3, "b": (2 + 1.5 + 3) / 3, "c": (3 + 3 + 1) / 3}
    )
    assert found.datasets == 3
    table = [[-own["d1"], -own["d2"], -own["d3"]] for own in means.values()]
    assert found.p == pytest.approx(stats.friedmanchisquare(*table).pvalue)

    assert ranks({"a": {"d1": 1.0}, "b": {"d1": 2.0}}, "lower") is None
    two = ranks({"a": {"d1": 1.0, "d2": 1.0}, "b": {"d1": 2.0, "d2": 2.0}}, "lower")
    assert two is not None
    assert two.mean == {"a": 1.0, "b": 2.0}
    assert math.isnan(two.p)


def test_cliques_overlap_and_are_not_nested() -> None:
    """a-b-c within the critical difference, then c-d; b-c alone is inside the first and is no
    group.
    """
    found = Ranks({"d": 4.0, "a": 1.0, "b": 1.5, "c": 2.5}, 10, 0.01, 1.6)
    assert cliques(found) == [("a", "b", "c"), ("c", "d")]


def test_seeds_do_not_shrink_the_part_of_the_examples() -> None:
    """About as many seeds as the law of the test asks for; none where the examples alone hide it."""
    by_seed = {"a": [0.1, 0.3, 0.2, 0.4], "b": [0.3, 0.2, 0.5, 0.3]}
    values = {name: dict(enumerate(own)) for name, own in by_seed.items()}
    found = compare(values, "lower")
    assert found is not None
    alone = seeds_for(found, 0.075, 500)
    assert alone is not None
    spread = found.error * 2
    assert detectable_difference(spread, alone) <= 0.075
    assert detectable_difference(spread, alone - 1) > 0.075

    # Of this variance only a tenth falls with the seeds.
    fixed = replace(found, examples=0.9)
    assert seeds_for(fixed, 0.075, 500) is None
    most = seeds_for(fixed, 0.25, 500)
    assert most is None or most > alone
    assert seeds_for(replace(found, examples=0.0), 0.075, 500) == alone


def test_many_pairs_at_once_are_each_by_itself() -> None:
    """Methods of the same seeds and of others, one without a spread, two that agree."""
    random = np.random.default_rng(0)
    values = {f"m{place}": dict(enumerate(random.normal(size=4))) for place in range(6)}
    values["constant"] = dict.fromkeys(range(4), 0.3)
    values["same"] = values["m1"]
    values["few"] = {1: 0.2, 3: 0.5}
    values["one"] = {2: 0.1}

    found = compare(values, "higher")
    assert found is not None
    names = [pair for pair in combinations(sorted(values), 2) if "one" not in pair]
    assert list(found.leads) == names
    alone = []
    for one, other in names:
        seeds = sorted(values[one].keys() & values[other].keys())
        first = [values[one][seed] for seed in seeds]
        second = [values[other][seed] for seed in seeds]
        assert found.leads[one, other].ahead == pytest.approx(np.mean(first) - np.mean(second))
        alone.append(paired_p(first, second))
    adjusted = [lead.p for lead in found.leads.values()]
    np.testing.assert_allclose(adjusted, holm(alone))
