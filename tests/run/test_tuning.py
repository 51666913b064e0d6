"""How trials take turns where seconds limit them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench_uq.api.errors import UsageError
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.suite import read_suite
from bench_uq.run import tuning
from bench_uq.run.tuning import Rival, Search, Study, rivals_of, waves


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Study]:
    """A study of rivals of (method, datasets) whose trials take a second each."""

    def following(study: Study, rival: Rival) -> Iterator[tuple[str, int]]:
        for number in range(study.search.trials):
            yield rival.method.name, number

    monkeypatch.setattr(tuning, "following", following)
    monkeypatch.setattr(tuning, "seconds_of", lambda planned: 1.0)

    def make(search: Search, *rivals: tuple[str, str]) -> Study:
        own = [Rival(0, _named(name), (), (dataset,)) for name, dataset in rivals]
        nothing: Any = None
        return Study(nothing, search, tuple(own), nothing, (), Path(), Path())

    return make


def _named(name: str) -> Any:
    return SimpleNamespace(name=name)


def test_datasets_of_a_method_share_its_seconds(study: Callable[..., Study]) -> None:
    """With two datasets a method has no more time than with one."""
    search = Search(trials=64, seconds=4, sampler="tpe")
    one = list(waves(study(search, ("map", "a"))))
    two = list(waves(study(search, ("map", "a"), ("map", "b"), ("mnf", "a"))))
    assert one == [[("map", number)] for number in range(4)]

    done = list(itertools.chain(*two))
    assert done.count(("map", 0)) == 2
    assert sum(name == "map" for name, _ in done) == 4
    assert sum(name == "mnf" for name, _ in done) == 4


def test_without_a_limit_each_has_all_trials(study: Callable[..., Study]) -> None:
    """One of each at a time, because a point may depend on the one before it."""
    found = list(waves(study(Search(trials=3, sampler="tpe"), ("map", "a"), ("mnf", "a"))))
    assert found == [[("map", number), ("mnf", number)] for number in range(3)]


def test_a_reference_is_not_tuned() -> None:
    """What the others are compared with would be another; alone there is nothing to tune."""
    suite, plugins = read_suite("fidelity", {"methods": ["hmc", "map"]}), Plugins()
    rivals = rivals_of(suite, Search(trials=2), plugins)
    assert [one.method.name for one in rivals] == ["map"]
    alone = read_suite("fidelity", {"methods": ["hmc"]})
    with pytest.raises(UsageError, match="nothing to tune: hmc is a reference"):
        rivals_of(alone, Search(trials=2), plugins)
