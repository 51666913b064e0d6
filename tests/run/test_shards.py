"""The runs of a plan dealt out to shards."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from itertools import chain, product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from bench_uq.cli import main
from bench_uq.run.shards import shard_of

NAMES = ("map", "dropout[rate=0.2]", "mnf", "ensemble", "mean-field")


def plan(methods: int, datasets: int, seeds: int) -> list[Any]:
    """Return what shards look at of the runs of a suite, in the order of a plan."""
    return [
        SimpleNamespace(
            method=method, dataset=f"d{dataset}", seed=seed, name=f"{method}-d{dataset}-s{seed}"
        )
        for seed, dataset, method in product(range(seeds), range(datasets), NAMES[:methods])
    ]


def deal(runs: list[Any], count: int) -> list[list[Any]]:
    """Return the runs of every shard."""
    return [shard_of(runs, part, count) for part in range(1, count + 1)]


def spread(shards: list[list[Any]], name: Callable[[Any], object]) -> int:
    """Return by how many runs of one kind two shards differ at most."""
    counts = [Counter(map(name, shard)) for shard in shards]
    widest = []
    for kind in set(chain(*counts)):
        numbers = [count[kind] for count in counts]
        widest.append(max(numbers) - min(numbers))
    return max(widest)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 10, 25, 40])
@pytest.mark.parametrize("shape", [(5, 1, 5), (5, 2, 1), (3, 3, 2), (1, 1, 1), (4, 2, 5)], ids=str)
def test_every_run_is_in_one_shard(shape: tuple[int, int, int], count: int) -> None:
    """Shards partition the plan in its order, as evenly as possible, overall and per method."""
    runs = plan(*shape)
    shards = deal(runs, count)
    assert sorted(run.name for run in chain(*shards)) == sorted(run.name for run in runs)
    for shard in shards:
        assert shard == [run for run in runs if run in shard]
    assert spread(shards, lambda run: "any") <= 1
    assert spread(shards, lambda run: run.method) <= 1


@pytest.mark.parametrize(
    ("shape", "count"), [((4, 2, 1), 2), ((3, 3, 1), 3), ((4, 2, 2), 4), ((2, 2, 5), 10)], ids=str
)
def test_no_shard_has_the_slow_dataset_alone(shape: tuple[int, int, int], count: int) -> None:
    """If the runs of a method fill the shards exactly, datasets rotate with the methods."""
    assert spread(deal(plan(*shape), count), lambda run: run.dataset) == 0


@pytest.mark.parametrize("datasets", [1, 2])
def test_seeds_stay_together(datasets: int) -> None:
    """With as many shards as seeds each has whole seeds, so attacked networks are its own."""
    for shard in deal(plan(5, datasets, 4), 4):
        assert len({run.seed for run in shard}) == 1


def test_the_order_of_flags_does_not_matter() -> None:
    """The same runs are dealt alike however the plan lists them."""
    runs = plan(5, 2, 3)
    shuffled = random.Random(0).sample(runs, len(runs))
    for one, other in zip(deal(runs, 7), deal(shuffled, 7), strict=True):
        assert {run.name for run in one} == {run.name for run in other}


BAD = ["", "1", "/", "1/", "/3", "0/3", "4/3", "-1/3", "1/-3", "1/0", "1.0/3", "+1/3", "1/3/3"]
BAD += ["a/b", "1/3x", " 1/3", "1 /3", "1/3 ", "01/3", "1_0/20", "١/٣", "1/1e3", "nan/3"]


@pytest.mark.parametrize("text", [*BAD, "1/" + "9" * 5000])
def test_what_is_no_shard_is_refused(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told in one line with what is allowed, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["run", "--shard", text])
    assert done.exit_code == 2, done.output
    assert len(done.output.splitlines()) == 1
    assert "--shard must be K/N, whole numbers with K from 1 to N, as in 2/3, not" in done.output
    assert list(tmp_path.iterdir()) == []
