"""The order in which runs are started."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from bench_uq.run.cluster.client import Handing
from bench_uq.run.waiting import Waiting, kind, wanted


class Named(SimpleNamespace):
    """A job that can be kept in a set."""

    __hash__ = object.__hash__


def job(method: str, attacks: str = "") -> Any:
    """Job with the fields that the order depends on; ``attacks`` names an attacked run."""
    shown = [
        SimpleNamespace(surrogate=SimpleNamespace(name=attacks, base=None) if attacks else None)
    ]
    name = f"{method}-0"
    return Named(
        run=SimpleNamespace(name=name, method=method, dataset="digits", shown=shown, base=None)
    )


def order(jobs: list[Any], seconds: dict[tuple[str, str], float]) -> list[int]:
    """Order in which jobs start, given the seconds of each kind."""
    waiting = Waiting([(one,) for one in jobs], wanted(jobs))
    waiting.seconds.update(seconds)
    taken = [waiting.take()[0] for _ in jobs]
    assert not waiting
    places = {id(one): place for place, one in enumerate(jobs)}
    return [places[id(one)] for one in taken]


def test_longest_first() -> None:
    """Runs of unknown length start first, in their order, then the longest known."""
    jobs = [job("map"), job("mnf"), job("dropout"), job("ensemble"), job("mnf")]
    assert order(jobs, {}) == [0, 1, 4, 2, 3]  # those of a kind together
    assert order(jobs, {("map", "digits"): 1.0}) == [1, 4, 2, 3, 0]
    known = {
        ("map", "digits"): 1.0,
        ("mnf", "digits"): 9.0,
        ("dropout", "digits"): 2.0,
        ("ensemble", "digits"): 5.0,
    }
    assert order(jobs, known) == [1, 4, 3, 2, 0]


def test_lengths_are_learned_on_the_way() -> None:
    """The seconds of a run count for others of its kind; a job put back waits behind them."""
    jobs = [job("map"), job("map"), job("mnf"), job("mnf")]
    waiting = Waiting([(one,) for one in jobs], wanted(jobs))
    first = waiting.take()
    assert first[0] is jobs[0]
    waiting.seconds[kind(first[0])] = 1.0
    assert waiting.take()[0] is jobs[2]
    waiting.seconds[kind(jobs[2])] = 9.0
    waiting.put(first)
    assert len(waiting) == 3
    assert [waiting.take()[0] for _ in range(3)] == [jobs[3], jobs[1], jobs[0]]


def test_attacked_runs_first() -> None:
    """A run whose networks others attack starts before them, however long they are."""
    known = {("map", "digits"): 1.0, ("mnf", "digits"): 9.0}
    assert order([job("mnf", "map-0"), job("map", "map-0"), job("mnf", "map-0")], known) == [
        1,
        0,
        2,
    ]
    assert order([job("mnf", "ensemble-0"), job("map", "ensemble-0")], known) == [0, 1]


def test_on_a_cluster_runs_wait_for_the_network_that_they_attack() -> None:
    """Attacking runs start after the attacked one; of a circle one starts last."""
    alone, first, second = job("mnf"), job("map", "dropout-0"), job("dropout", "map-0")
    third = job("ensemble", "map-0")
    work = Handing(None, {}, None, None)  # type: ignore[arg-type]
    work.put([first, second, third, alone])

    assert work.waiting.take() == (alone,)
    assert not work.waiting
    work.ended(alone)
    assert work.waiting.take() == (first,)
    assert not work.waiting
    work.ended(first)
    assert {work.waiting.take(), work.waiting.take()} == {(second,), (third,)}
    assert not work.waiting
    work.ended(second)
    work.ended(third)
    assert not work.open


def test_runs_that_attack_each_other_alone_on_a_cluster() -> None:
    """With nothing else to do the first of them starts at once."""
    work = Handing(None, {}, None, None)  # type: ignore[arg-type]
    work.put([job("map", "dropout-0"), job("dropout", "map-0")])
    assert len(work.waiting) == 1
