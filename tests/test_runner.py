"""The order in which runs are started."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from bench_uq.runner import longest


def job(method: str) -> Any:
    """Return what the order looks at of a job."""
    return SimpleNamespace(run=SimpleNamespace(method=method, dataset="digits"))


def test_longest_first() -> None:
    """Runs of unknown length go first in their order, then the longest known: no long run is left for last."""
    waiting = [job("map"), job("mnf"), job("dropout"), job("ensemble")]
    assert longest(waiting, {}) == 0
    assert longest(waiting, {("map", "digits"): 1.0}) == 1
    known = {("map", "digits"): 1.0, ("mnf", "digits"): 9.0, ("dropout", "digits"): 2.0, ("ensemble", "digits"): 5.0}
    assert longest(waiting, known) == 1
    assert longest([waiting[0], waiting[3], waiting[2]], known) == 1
