"""Search spaces: what is tuned, where trial k lies, and mistakes in a suite file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench_uq.api.errors import UsageError
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.search_space import Dimension, Trial, space_of, trials, with_options
from bench_uq.plan.suite import read_suite

PLUGINS = Plugins()
SUITE = read_suite("quick")


def study(method: str, count: int, seed: int = 0) -> list[Trial]:
    """Return the first trials of a method in its own space."""
    spec = PLUGINS.spec("method", method)
    return list(trials(spec, space_of(spec, SUITE, PLUGINS), seed, count))


@pytest.mark.parametrize("method", PLUGINS.names("method"))
def test_every_method_has_a_space_that_it_takes(method: str) -> None:
    """Each trial of each method is a method with these options, and a recipe without weight decay
    beside a prior; the recipe of a method with a base is that of its base.
    """
    spec = PLUGINS.spec("method", method)
    found = study(method, 9)
    assert found[0] == Trial(0, {}, {})
    for trial in found[1:]:
        assert with_options(spec, trial.options, PLUGINS).plain == method
        if spec.value.base:
            assert not trial.settings
            continue
        assert 1e-3 <= trial.settings["learning_rate"] <= 3e-2
        assert ("weight_decay" in trial.settings) == (not spec.value.weight_prior)


def test_a_trial_depends_on_seed_method_and_number_alone() -> None:
    """More trials begin with the same ones; another seed or method has others."""
    assert study("map", 9)[:5] == study("map", 5)
    assert study("map", 5) == study("map", 5)
    assert study("map", 5, seed=1)[1:] != study("map", 5)[1:]
    rates = [trial.settings["learning_rate"] for trial in study("dropout", 5)[1:]]
    assert rates != [trial.settings["learning_rate"] for trial in study("map", 5)[1:]]


def test_trials_fill_the_space() -> None:
    """64 points of a scrambled Sobol sequence lie in each 64th of a range once, and evenly for any
    seed.
    """
    shares = []
    for trial in study("map", 65)[1:]:
        prior = math.log(trial.options["prior_std"] / 0.1) / math.log(100)
        shares.append(prior)
    # Three digits of a value move a share by less than a 500th.
    assert sorted(np.round(np.array(shares) * 64 - 0.5).astype(int)) == pytest.approx(
        range(64), abs=1
    )

    first = []
    for seed in range(200):
        rate = study("map", 2, seed)[1].settings["learning_rate"]
        first.append(math.log(rate / 1e-3) / math.log(30))
    assert stats.kstest(first, "uniform").pvalue > 0.01


def test_values_at_a_share() -> None:
    """Halfway is the mean on a linear scale, the geometric mean on a logarithmic one."""
    assert Dimension("rate", 0.0, 0.6).at(0.5) == 0.3
    assert Dimension("rate", 1e-3, 1e-1, "log").at(0.5) == 0.01
    choice = Dimension("masks", values=("fresh", "fixed"))
    assert [choice.at(share) for share in (0.0, 0.49, 0.5, 0.99)] == [
        "fresh",
        "fresh",
        "fixed",
        "fixed",
    ]


def test_what_is_named_is_fixed_and_suites_change_the_rest() -> None:
    """An option in brackets is not tuned; a suite narrows a range, and adds a choice."""
    own = {"learning_rate": {"low": 0.01, "high": 0.02}, "masks": {"values": ["fresh", "fixed"]}}
    spec = PLUGINS.spec("method", "mnf[kl_weight=0.1]")
    space = space_of(spec, replace(SUITE, search={"mnf": own}), PLUGINS)

    assert [one.name for one in space] == ["learning_rate", "prior_std", "masks"]
    for trial in list(trials(spec, space, 0, 9))[1:]:
        assert 0.01 <= trial.settings["learning_rate"] <= 0.02
        assert with_options(spec, trial.options, PLUGINS).value.kl_weight == 0.1


@pytest.mark.parametrize("method", PLUGINS.names("method"))
def test_a_suite_with_a_reference_keeps_the_posterior(method: str) -> None:
    """No trial of a method that is compared is of another posterior; all else is tuned."""
    spec = PLUGINS.spec("method", method)
    suite = replace(SUITE, references=("hmc",))
    whole, space = space_of(spec, SUITE, PLUGINS), space_of(spec, suite, PLUGINS)
    if spec.value.posterior != PLUGINS.spec("method", "hmc").value.posterior:
        assert space == whole
        return

    for trial in trials(spec, space, 0, 9):
        assert with_options(spec, trial.options, PLUGINS).value.posterior == spec.value.posterior
    for lost in set(whole) - set(space):
        ends = [with_options(spec, {lost.name: end}, PLUGINS).value for end in lost.ends]
        assert any(end.posterior != spec.value.posterior for end in ends)


def test_methods_of_other_posteriors_are_tuned_freely_beside_a_reference() -> None:
    """A cold posterior is compared with no reference, so that its prior may change."""
    spec = PLUGINS.spec("method", "mean-field[kl_weight=0.1]")
    space = space_of(spec, replace(SUITE, references=("hmc",)), PLUGINS)
    assert [one.name for one in space] == ["learning_rate", "prior_std"]


def test_a_search_of_the_posterior_is_refused_beside_a_reference() -> None:
    """Who asks for other priors in a suite whose reference has one is told, in one line."""
    search = {"map": {"prior_std": {"low": 0.1, "high": 1}}}
    suite = replace(SUITE, references=("hmc",), search=search)
    with pytest.raises(UsageError, match=r"search.map.prior_std changes the posterior, N\(0, 1.0"):
        space_of(PLUGINS.spec("method", "map"), suite, PLUGINS)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"prior_std": 3}, "search.map.prior_std must be a table of low, high, scale, values, not 3"),
        ({"prior_std": {"low": 1, "high": 1}}, "low must be below high, not 1 and 1"),
        ({"prior_std": {"low": 2, "high": 1}}, "low must be below high, not 2 and 1"),
        ({"prior_std": {"low": 1}}, "low and high must be finite numbers, not None"),
        ({"prior_std": {"low": 1, "high": math.inf}}, "finite numbers, not inf"),
        ({"prior_std": {"low": 0, "high": 1, "scale": "log"}}, "low must be above 0 on a logarithmic scale"),
        ({"prior_std": {"low": 1, "high": 2, "scale": "logg"}}, "'logg'"),
        ({"prior_std": {"low": 1, "hihg": 2}}, "'hihg'"),
        ({"prior_std": {"values": [1]}}, "values must be a list of at least two"),
        ({"prior_std": {"low": -1, "high": 1}}, "search.map.prior_std: "),
        ({"learning_rate": {"low": -1, "high": 1}}, "learning_rate must be finite and at least 0"),
        ({"prior": {"low": 1, "high": 2}}, "'prior'"),
        ({"draws": {"values": [1, 2]}}, "'draws'"),
    ],
)  # fmt: skip
def test_mistakes_in_a_space(table: Mapping[str, Any], told: str) -> None:
    """One line names the place, the value and what is allowed."""
    spec = PLUGINS.spec("method", "map")
    with pytest.raises(UsageError) as caught:
        space_of(spec, replace(SUITE, search={"map": table}), PLUGINS)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
