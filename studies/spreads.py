"""Other variance estimates of a difference, to show why the gate has its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np

from bench_uq.check import pairing as pairs
from bench_uq.check import variances as spreads

#: Variance and degrees of freedom per cell, from both of the cell, its unit and a least variance.
Spread = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def own(
    variances: np.ndarray, freedom: np.ndarray, units: np.ndarray, floor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Variance of each cell alone."""
    del units
    return np.maximum(variances, floor), freedom


def pooled(
    variances: np.ndarray, freedom: np.ndarray, units: np.ndarray, floor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One variance for all cells of a metric; each unit adds the freedom of one of its cells."""
    most = sum(freedom[units == unit].max() for unit in np.unique(units))
    mean = float(np.average(variances, weights=freedom))
    return np.maximum(mean, floor), np.full(len(variances), most)


def borrowing(share: float) -> Spread:
    """The gate's estimate with another weight of the common variance, as a share of own freedom."""

    def moderated(
        variances: np.ndarray, freedom: np.ndarray, units: np.ndarray, floor: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        with mock.patch.object(spreads, "BORROWED", share):
            return spreads.moderated(variances, freedom, units, floor)

    return moderated


#: By their names in tables.
WAYS: dict[str, Spread] = {
    "each cell's own": own,
    "moderated, half (the gate)": borrowing(0.5),
    "moderated, as much": borrowing(1.0),
    "moderated, without limit": borrowing(1e9),
    "pooled by metric": pooled,
}


@contextmanager
def known_by(way: str) -> Iterator[None]:
    """Let the gate estimate variances another way."""
    with mock.patch.object(pairs, "moderated", WAYS[way]):
        yield
