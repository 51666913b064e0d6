"""Other ways to know how much a difference varies, in place of the gate's, to show why it has the one it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np

from bench_uq.check import pairing as pairs
from bench_uq.check import variances as spreads

Spread = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def own(
    variances: np.ndarray, freedom: np.ndarray, units: np.ndarray, floor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the variance of each cell alone."""
    del units
    return np.maximum(variances, floor), freedom


def pooled(
    variances: np.ndarray, freedom: np.ndarray, units: np.ndarray, floor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return one variance for all cells of a metric, with the degrees of freedom of one cell of each unit."""
    most = sum(freedom[units == unit].max() for unit in np.unique(units))
    mean = float(np.average(variances, weights=freedom))
    return np.maximum(mean, floor), np.full(len(variances), most)


def borrowing(share: float) -> Spread:
    """Return the gate's way where what cells have in common counts for another share of their own degrees."""

    def moderated(
        variances: np.ndarray, freedom: np.ndarray, units: np.ndarray, floor: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        with mock.patch.object(spreads, "BORROWED", share):
            return spreads.moderated(variances, freedom, units, floor)

    return moderated


#: By name, as tables have them.
WAYS: dict[str, Spread] = {
    "each cell's own": own,
    "moderated, half (the gate)": borrowing(0.5),
    "moderated, as much": borrowing(1.0),
    "moderated, without limit": borrowing(1e9),
    "pooled by metric": pooled,
}


@contextmanager
def known_by(way: str) -> Iterator[None]:
    """Let the gate know spreads another way."""
    with mock.patch.object(pairs, "moderated", WAYS[way]):
        yield
