"""Adapter of netcal: binned calibration errors of confidences (N,) against hits (N,), float64.

netcal takes seconds to import (it brings torch), prints to stdout, drops NaN rows silently and
reads two-dimensional input in several ways. It is therefore loaded on first use, silenced, and
handed one-dimensional float64 arrays without NaN only.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from functools import cache
from types import ModuleType

import numpy as np

_EPSILON = np.finfo(np.float64).eps  # netcal keeps confidences this far from 0 and 1


@cache
def _measures() -> ModuleType:
    """Import netcal's measures on first use."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        # Deprecations and bad escapes in netcal and its dependencies are not ours to mend.
        warnings.simplefilter("ignore")
        from netcal.metrics import confidence
    return confidence


def expected_error(confidence: np.ndarray, hits: np.ndarray, bins: int) -> float:
    """Expected calibration error, bins of equal width."""
    return _measure("ECE", confidence, hits, bins)


def maximum_error(confidence: np.ndarray, hits: np.ndarray, bins: int) -> float:
    """Largest calibration error of a bin of equal width."""
    return _measure("MCE", confidence, hits, bins)


def equal_mass_error(confidence: np.ndarray, hits: np.ndarray, bins: int) -> float:
    """Expected calibration error, bins of equal mass; equal confidences share a bin."""
    if np.isnan(confidence + hits).any():
        return float("nan")

    # Unlike netcal's measure(equal_intervals=False), which fails if two quantiles coincide, as they
    # do for every network that gives many examples the same confidence: its steps are taken one by
    # one, with distinct edges.
    samples = np.clip(confidence, _EPSILON, 1 - _EPSILON)
    quantiles = np.quantile(samples, np.linspace(0, 1, bins + 1))
    edges = np.unique([0.0, *quantiles[1:-1], 1.0])

    with contextlib.redirect_stdout(io.StringIO()):
        measure = _measures().ECE(bins)
        nothing = np.zeros_like(samples)
        means, counts, _, _ = measure.binning([edges], samples[:, None], hits, samples, nothing)
        return float(measure.process("ece", *means, num_samples_hist=counts)[0])


def equal_width_bins(confidence: np.ndarray, bins: int) -> np.ndarray:
    """Number of the bin, from 0, in which netcal counts each confidence.

    The ECE floor and the reliability curve bin with it. ECE itself is binned by netcal; a test
    holds both to the same bins.
    """
    inside = np.clip(confidence, _EPSILON, 1 - _EPSILON)
    return np.searchsorted(np.linspace(0, 1, bins + 1), inside, side="right") - 1


def _measure(name: str, confidence: np.ndarray, hits: np.ndarray, bins: int) -> float:
    """Value of a measure of netcal in its default, equal-width binning."""
    if np.isnan(confidence + hits).any():
        return float("nan")
    with contextlib.redirect_stdout(io.StringIO()):
        measure = getattr(_measures(), name)(bins)
        return float(measure.measure(confidence, hits))
