"""The Pareto front of methods: those that no other beats in both cost and loss."""

from __future__ import annotations

from collections.abc import Mapping


def front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """The Pareto front of (cost, loss): the points that no other beats in both, cheapest first."""
    kept: list[str] = []
    for name in sorted(points, key=lambda name: points[name]):
        # Equal points do not beat each other: all of them stay.
        if not kept or points[name][1] < points[kept[-1]][1] or points[name] == points[kept[-1]]:
            kept.append(name)
    return kept
