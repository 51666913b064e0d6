"""Scales on which equal changes of a score count equally; larger is worse, or more uncertain."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench_uq.api.metric import Metric

#: Examples behind a score of results that do not say how many there were.
UNKNOWN_EXAMPLES = 10_000


@dataclass(frozen=True)
class Scale:
    """A scale for scores; ``of`` takes values and the examples behind each.

    A change on a scale of factors is the log of a factor of ``factor_of``.
    """

    of: Callable[[np.ndarray, np.ndarray], np.ndarray]
    factor_of: str | None  # None: changes are differences, in the metric's own unit

    def change(self, difference: float) -> float:
        """A difference on this scale as a factor, or as it is."""
        # exp overflows beyond 709.
        return math.exp(min(difference, 700.0)) if self.factor_of else difference

    def margin(self, told: float) -> float:
        """A margin on this scale, from the share by which a factor may grow, or as it is."""
        return math.log1p(told) if self.factor_of else told


def _odds(values: np.ndarray, examples: np.ndarray) -> np.ndarray:
    """Log of the odds against a share, clipped to half an example from all and none."""
    edge = 1 / (2 * examples)
    shares = np.clip(values, edge, 1 - edge)
    return np.log1p(-shares) - np.log(shares)


def _log(values: np.ndarray, examples: np.ndarray) -> np.ndarray:
    """Log of the values, where less than half an example's share counts as that."""
    return np.log(np.maximum(values, 1 / (2 * examples)))


def _plain(values: np.ndarray, _examples: np.ndarray) -> np.ndarray:
    """The values themselves."""
    return values


SCALES = {
    "odds": Scale(_odds, "odds of an error"),
    "log": Scale(_log, "score"),
    "plain": Scale(_plain, None),
}


def scale_of(metric: Metric, *, real_targets: bool) -> str:
    """Name of a metric's scale; by default odds for shares of which more is better, else log."""
    if metric.real_scale and real_targets:
        return metric.real_scale
    return metric.scale or ("odds" if metric.direction == "higher" else "log")
