"""netcal's binned calibration errors of confidences (N,) against hits (N,), float64, by NumPy.

netcal itself brings torch and takes seconds to import, which whoever scores arrays should not pay
for, and it drops NaN rows silently. Its steps are therefore taken here, in its order: the tests
hold every number to netcal's own, digit for digit (docs/decisions/032-binned-errors.md).
"""

from __future__ import annotations

import numpy as np

_EPSILON = np.finfo(np.float64).eps  # netcal keeps confidences this far from 0 and 1


def expected_error(confidence: np.ndarray, hits: np.ndarray, bins: int) -> float:
    """Expected calibration error, bins of equal width."""
    return _mean_gap(confidence, hits, np.linspace(0, 1, bins + 1))


def maximum_error(confidence: np.ndarray, hits: np.ndarray, bins: int) -> float:
    """Largest calibration error of a bin of equal width."""
    if np.isnan(confidence + hits).any():
        return float("nan")
    gaps, _ = _gaps(confidence, hits, np.linspace(0, 1, bins + 1))
    return float(np.max(gaps))


def equal_mass_error(confidence: np.ndarray, hits: np.ndarray, bins: int) -> float:
    """Expected calibration error, bins of equal mass; equal confidences share a bin."""
    if np.isnan(confidence + hits).any():
        return float("nan")

    # Unlike netcal's measure(equal_intervals=False), which fails if two quantiles coincide, as they
    # do for every network that gives many examples the same confidence, the edges are distinct.
    quantiles = np.quantile(_inside(confidence), np.linspace(0, 1, bins + 1))
    return _mean_gap(confidence, hits, np.unique([0.0, *quantiles[1:-1], 1.0]))


def equal_width_bins(confidence: np.ndarray, bins: int) -> np.ndarray:
    """Number of the bin, from 0, in which each confidence counts."""
    return _bins(confidence, np.linspace(0, 1, bins + 1))


def _inside(confidence: np.ndarray) -> np.ndarray:
    """Confidences that fall into a bin."""
    return np.clip(confidence, _EPSILON, 1 - _EPSILON)


def _bins(confidence: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Number of the bin between two edges in which each confidence counts."""
    return np.searchsorted(edges, _inside(confidence), side="right") - 1


def _mean_gap(confidence: np.ndarray, hits: np.ndarray, edges: np.ndarray) -> float:
    """Mean over the examples of the gap of their bin; NaN if any number is."""
    if np.isnan(confidence + hits).any():
        return float("nan")
    gaps, counts = _gaps(confidence, hits, edges)
    return float(np.sum(gaps * (counts / counts.sum())))


def _gaps(
    confidence: np.ndarray, hits: np.ndarray, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Distance of mean confidence and share of hits in each bin, and the examples in it."""
    places, size = _bins(confidence, edges), len(edges) - 1
    counts = np.bincount(places, minlength=size).astype(np.float64)
    # An empty bin has a gap of 0 and no weight.
    filled = np.maximum(counts, 1)

    stated = np.bincount(places, weights=_inside(confidence), minlength=size) / filled
    found = np.bincount(places, weights=hits, minlength=size) / filled
    return np.abs(found - stated), counts
