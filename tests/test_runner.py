"""The order in which runs are started."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from bench_uq.runner import longest


def job(method: str, attacks: str = "") -> Any:
    """Return what the order looks at of a job; ``attacks`` is the run whose networks a condition of it attacks."""
    shown = [SimpleNamespace(surrogate=SimpleNamespace(name=attacks) if attacks else None)]
    return SimpleNamespace(run=SimpleNamespace(name=f"{method}-0", method=method, dataset="digits", shown=shown))


def test_longest_first() -> None:
    """Runs of unknown length go first in their order, then the longest known: no long run is left for last."""
    waiting = [job("map"), job("mnf"), job("dropout"), job("ensemble")]
    assert longest([(one,) for one in waiting], {}) == 0
    assert longest([(one,) for one in waiting], {("map", "digits"): 1.0}) == 1
    known = {("map", "digits"): 1.0, ("mnf", "digits"): 9.0, ("dropout", "digits"): 2.0, ("ensemble", "digits"): 5.0}
    assert longest([(one,) for one in waiting], known) == 1
    assert longest([(waiting[0],), (waiting[3],), (waiting[2],)], known) == 1


def test_attacked_runs_first() -> None:
    """A run whose networks others attack starts before them, however long they are."""
    known = {("map", "digits"): 1.0, ("mnf", "digits"): 9.0}
    assert longest([(job("mnf", "map-0"),), (job("map", "map-0"),), (job("mnf", "map-0"),)], known) == 1
    assert longest([(job("mnf", "ensemble-0"),), (job("map", "ensemble-0"),)], known) == 0
