"""Trials that follow those before them, on scores that are known in closed form."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import pytest

from bench_uq.api.errors import UsageError
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.search_space import Trial, space_of, trials
from bench_uq.plan.suite import read_suite
from bench_uq.run.adaptive import AT_RANDOM, adaptive_trials

COUNT = 24


def valley(trial: Trial) -> float:
    """A score that is best at a dropout rate of 0.1 and a learning rate of 0.01."""
    rate, learning = trial.options.get("rate", 0.5), trial.settings.get("learning_rate", 1e-3)
    return (rate - 0.1) ** 2 + 0.1 * math.log10(learning / 0.01) ** 2


@pytest.fixture(scope="module")
def search() -> Callable[..., list[Trial]]:
    """The trials of dropout for a score, in the study of a seed."""
    plugins = Plugins()
    suite, method = read_suite("quick"), plugins.spec("method", "dropout")
    space = space_of(method, suite, plugins)

    def run(score: Callable[[Trial], float], seed: int = 0, quasi: bool = False) -> list[Trial]:
        if quasi:
            return list(trials(method, space, seed, COUNT))
        return list(adaptive_trials(method, space, seed, COUNT, score))

    return run


def test_it_learns_from_what_trials_gave(search: Callable[..., list[Trial]]) -> None:
    """Later trials lie nearer to the best point than Sobol points do, in the mean over studies."""
    ours, theirs = [], []
    for seed in range(5):
        ours += [valley(one) for one in search(valley, seed)[COUNT // 2 :]]
        theirs += [valley(one) for one in search(valley, seed, quasi=True)[COUNT // 2 :]]
    assert sum(ours) < 0.7 * sum(theirs)


def test_a_study_depends_on_its_seed_and_scores_alone(search: Callable[..., list[Trial]]) -> None:
    """Repeated it is the same; other scores change what follows them and nothing before."""
    once, again = search(valley), search(valley)
    assert once == again
    assert once[0] == Trial(0, {}, {})
    assert [one.number for one in once] == list(range(COUNT))
    assert search(valley, seed=1)[1] != once[1]

    turned = search(lambda trial: -valley(trial))
    # The default is not told, so that so many trials are at random.
    assert turned[: AT_RANDOM + 1] == once[: AT_RANDOM + 1]
    assert turned != once


def test_diverged_trials_are_told(search: Callable[..., list[Trial]]) -> None:
    """Where half of the space diverges, later trials are in the other half more often."""

    def broken(trial: Trial) -> float:
        return math.inf if trial.settings.get("learning_rate", 0) > 5.5e-3 else valley(trial)

    late = list[float]()
    for seed in range(10):
        late += [broken(one) for one in search(broken, seed)[COUNT // 2 :]]
    # At random 0.5, with a standard error of 0.046.
    assert sum(map(math.isinf, late)) < 0.4 * len(late)


def test_without_optuna_one_line_says_how_to_get_it(
    search: Callable[..., list[Trial]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"pip install 'bench-uq\[optuna\]'"):
        search(valley)
