"""The order in which runs are started."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from bench_uq.runner import Waiting, attacked, kind


def job(method: str, attacks: str = "") -> Any:
    """Return what the order looks at of a job; ``attacks`` is the run whose networks a condition of it attacks."""
    shown = [SimpleNamespace(surrogate=SimpleNamespace(name=attacks) if attacks else None)]
    return SimpleNamespace(run=SimpleNamespace(name=f"{method}-0", method=method, dataset="digits", shown=shown))


def order(jobs: list[Any], seconds: dict[tuple[str, str], float]) -> list[int]:
    """Return the places of jobs as they are started when that is known of the length of others of their kind."""
    waiting = Waiting([(one,) for one in jobs], attacked(jobs))
    waiting.seconds.update(seconds)
    taken = [waiting.take()[0] for _ in jobs]
    assert not waiting
    return [next(place for place, job in enumerate(jobs) if job is one) for one in taken]


def test_longest_first() -> None:
    """Runs of unknown length go first in their order, then the longest known: no long run is left for last."""
    jobs = [job("map"), job("mnf"), job("dropout"), job("ensemble"), job("mnf")]
    assert order(jobs, {}) == [0, 1, 4, 2, 3]  # those of a kind together
    assert order(jobs, {("map", "digits"): 1.0}) == [1, 4, 2, 3, 0]
    known = {("map", "digits"): 1.0, ("mnf", "digits"): 9.0, ("dropout", "digits"): 2.0, ("ensemble", "digits"): 5.0}
    assert order(jobs, known) == [1, 4, 3, 2, 0]


def test_lengths_are_learned_on_the_way() -> None:
    """What a run took counts for those of its kind that still wait, and one that is put back waits as before."""
    jobs = [job("map"), job("map"), job("mnf"), job("mnf")]
    waiting = Waiting([(one,) for one in jobs], attacked(jobs))
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
    assert order([job("mnf", "map-0"), job("map", "map-0"), job("mnf", "map-0")], known) == [1, 0, 2]
    assert order([job("mnf", "ensemble-0"), job("map", "ensemble-0")], known) == [0, 1]
