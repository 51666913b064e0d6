"""Trials method by method; every number is worked out by hand or simulated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bench_uq.score.likeness import marked
from bench_uq.score.results import Results
from bench_uq.score.trials import Trial
from bench_uq.score.tuning import TunedMethod, expected_best, tuned_methods


def test_expected_best_by_hand() -> None:
    """Of 1 and 2, one draw is 1.5 on average; the lower of two is 1 unless both are 2."""
    assert expected_best([2.0, 1.0], 1) == 1.5
    assert expected_best([2.0, 1.0], 2) == 0.75 * 1 + 0.25 * 2
    assert expected_best([0.5, 0.5, 0.5], 8) == pytest.approx(0.5)


def test_expected_best_of_simulated_draws() -> None:
    """The formula gives the mean of the lowest of four draws with replacement."""
    random = np.random.default_rng(0)
    values = random.random(7)
    lowest = random.choice(values, (100_000, 4)).min(1)
    assert expected_best(values.tolist(), 4) == pytest.approx(lowest.mean(), abs=0.002)


def test_expected_best_beside_trials_that_diverged() -> None:
    """Of 1, 2 and infinity, three draws are 1 in 19 of 27 cases, 2 in 7, and all lost in one."""
    values = [math.inf, 2.0, 1.0]
    assert expected_best(values, 3) == pytest.approx((19 * 1 + 7 * 2) / 26)
    # One study of one trial in three finds nothing, and one of two trials in nine.
    assert expected_best(values, 1) == math.inf
    assert expected_best(values, 2) == math.inf
    assert expected_best([math.inf], 9) == math.inf


def tried(number: int, nll: float, name: str = "dropout", **others: object) -> Trial:
    """A trial of dropout on digits."""
    one = Trial(0, "digits", "dropout", number, name, {}, 3, nll, 10.0, chosen=False)
    return replace(one, **others)  # type: ignore[arg-type]


def of(*trials: Trial, known: Mapping[str, str] | None = None) -> TunedMethod:
    return TunedMethod("dropout", trials, known or {})


def test_a_curve_is_the_mean_over_studies_as_far_as_all_went() -> None:
    """The second study has two trials, so that the third of the first is not drawn alone."""
    first = [tried(0, 4.0), tried(1, 2.0), tried(2, 3.0)]
    second = [tried(0, 4.0, study=7), tried(1, 1.0, study=7, chosen=True)]
    curve = of(*first, *second).best_curve()
    assert curve.trials.tolist() == [1, 2]

    # Of 2, 3 and 4: one draw is 3; the lower of two is 2 in 5 of 9 cases, 3 in 3, 4 in 1.
    ones = [[3.0, (5 * 2 + 3 * 3 + 4) / 9], [2.5, 0.75 * 1 + 0.25 * 4]]
    np.testing.assert_allclose(curve.mean, np.mean(ones, axis=0))
    np.testing.assert_allclose(curve.low, np.min(ones, axis=0))
    np.testing.assert_allclose(curve.high, np.max(ones, axis=0))


def test_what_was_tuned_is_what_differs_between_trials() -> None:
    """An option of every trial is fixed; the chosen values are those of the others."""
    fixed = "dropout[members=2]"
    one = of(
        tried(0, 0.5, fixed, settings={"epochs": "60"}),
        tried(1, 0.4, "dropout[members=2,rate=0.2]", settings={"epochs": "60", "clip": "1"}),
        tried(2, 0.3, "dropout[members=2,rate=0.3]", settings={"epochs": "60", "clip": "1"}),
    )
    assert one.settings == ["rate"]
    chosen = replace(one.trials[1], chosen=True)
    one = of(one.trials[0], chosen, one.trials[2], known={"rate": "0.5", "clip": "0"})
    # Once the default is known, the setting of all other trials differs too.
    assert one.settings == ["rate", "clip"]
    assert one.changes == {"rate": "0.2", "clip": "1"}
    assert one.values(one.trials[0])["rate"] == "0.5"


def test_a_chosen_default_changes_nothing() -> None:
    """It is known by its number, not by its name."""
    one = of(tried(0, 0.3, chosen=True), tried(1, 0.4, "dropout[rate=0.2]"))
    assert one.kept
    assert one.changes == {}
    assert (one.seconds, one.seeds, one.diverged) == (20.0, 3, 0)


def test_the_default_is_that_of_the_study_of_the_chosen_trial() -> None:
    """Another study may have drawn other noise; without a trial 0 there is none."""
    own = [tried(0, 0.5, study=3), tried(1, 0.2, study=3, chosen=True)]
    one = of(tried(0, 0.6), *own)
    assert one.default is own[0]
    assert of(own[1]).default is None


def apart(number: int, seed: int, nll: float, **others: object) -> Trial:
    """A trial of dropout of which each seed is chosen for apart."""
    rate = {"name": f"dropout[rate=0.{number}]"} if number else {}
    return tried(number, nll, seeds=1, seed=seed, **{**rate, **others})  # type: ignore[arg-type]


def test_of_seeds_that_are_tuned_apart_there_are_means_and_ranges() -> None:
    """Seeds 0 and 1 chose rates of 0.1 and 0.2, seed 2 its default: 4, 3 and 2 in the mean 3."""
    one = of(
        *(apart(0, 0, 6.0), apart(1, 0, 4.0, chosen=True), apart(2, 0, 9.0)),
        *(apart(0, 1, 8.0), apart(1, 1, 5.0), apart(2, 1, 3.0, chosen=True)),
        *(apart(0, 2, 2.0, chosen=True), apart(1, 2, 3.0), apart(2, 2, math.inf)),
    )
    assert (one.apart, one.name, one.kept, one.kept_seeds) == (True, "dropout", False, 1)
    assert one.chosen_nll == 3.0
    assert one.changes == {"rate": "0.1 to 0.2"}
    assert [trial.nll for trial in one.trials] == pytest.approx([16 / 3, 4.0, math.inf])
    assert one.default is not None
    assert one.default.nll == pytest.approx(16 / 3)
    assert (one.seconds, one.seeds, one.diverged) == (90.0, 3, 1)

    # One draw of seed 0 gives 19 / 3 on average, of seed 1 16 / 3; seed 2 may find nothing.
    curve = of(*one.stored[:6]).best_curve()
    of_two = [(4 * 5 + 6 * 3 + 9) / 9, (3 * 5 + 5 * 3 + 8) / 9]
    assert curve.mean[:2] == pytest.approx([(19 + 16) / 6, np.mean(of_two)])
    assert one.best_curve().mean[0] == math.inf


def test_words_that_were_chosen_are_all_told() -> None:
    """Of a choice among words there is no range."""
    one = of(
        apart(0, 0, 6.0, name="dropout[layers=all]"),
        apart(1, 0, 4.0, name="dropout[layers=last]", chosen=True),
        apart(1, 1, 4.0, name="dropout[layers=first]", chosen=True),
    )
    assert one.changes == {"layers": "first or last"}


def results(methods: list[str], trials: tuple[Trial, ...], defaults: Results | None) -> Results:
    """Results on digits of one seed of each method, with the options of its name."""
    rows = []
    for method in methods:
        full = f"{method.partition('[')[0]}[rate=0.5]"
        rows.append([method, method, full, 0.02])
    runs = pd.DataFrame(rows, columns=["method", "run", "method_full", "learning_rate"])
    runs = runs.assign(dataset="digits", seed=0, status="ok", weight_decay=0.0, batch=math.nan)
    nothing = pd.DataFrame(columns=["dataset", "run"])
    return Results("hand", marked(runs), nothing, nothing, trials=trials, defaults=defaults)


def test_methods_are_found_by_the_names_of_the_chosen_trials() -> None:
    """The results of a tuned suite call dropout by its options; what was not run has no row."""
    trials = (
        tried(0, 0.5),
        tried(1, 0.2, "dropout[rate=0.2]", chosen=True),
        tried(0, 0.5, "map", method="map", chosen=True),
        tried(0, 0.5, "mnf", method="mnf", chosen=True),
    )
    names = ["map", "dropout[rate=0.2]"]
    found = tuned_methods(results(names, trials, None))
    assert [(one.method, one.name) for one in found] == [
        ("dropout", "dropout[rate=0.2]"),
        ("map", "map"),
    ]

    # Of the default nothing is known but where its own runs are there: it was chosen, or both.
    dropout, plain = found
    assert dropout.known == {}
    assert plain.known == {"rate": "0.5", "learning_rate": "0.02", "weight_decay": "0"}
    untuned = results(["dropout"], (), None)
    both = tuned_methods(results(names, trials, untuned))
    assert both[0].known == plain.known
    # A rate of 0 is the method's own, which nobody wrote down.
    own = replace(untuned, runs=untuned.runs.assign(learning_rate=0.0))
    both = tuned_methods(results(names, trials, own))
    assert both[0].known == {"rate": "0.5", "weight_decay": "0"}
