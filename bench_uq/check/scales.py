"""Scales on which a change of a score means the same wherever it stands; larger is always worse, or more uncertain."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bench_uq.metrics import find

#: Examples behind a score of results that do not say how many there were.
UNKNOWN_EXAMPLES = 10_000


@dataclass(frozen=True)
class Scale:
    """Where scores are compared: ``of`` takes values and the examples behind each.

    A change on a scale of factors is the log of a factor, of which ``factor_of`` is the name.
    """

    of: Callable[[np.ndarray, np.ndarray], np.ndarray]
    factor_of: str | None  # None: changes are differences, in the metric's own unit

    def change(self, difference: float) -> float:
        """Return a difference on this scale as it is told: a factor, or itself."""
        return math.exp(min(difference, 700.0)) if self.factor_of else difference

    def margin(self, told: float) -> float:
        """Return how far a score may move on this scale: ``told`` is a share by which a factor may grow, or itself."""
        return math.log1p(told) if self.factor_of else told


def _odds(values: np.ndarray, examples: np.ndarray) -> np.ndarray:
    """Return the log of the odds against a share, clipped to half an example of all and none."""
    edge = 1 / (2 * examples)
    shares = np.clip(values, edge, 1 - edge)
    return np.log1p(-shares) - np.log(shares)


def _log(values: np.ndarray, examples: np.ndarray) -> np.ndarray:
    """Return the log, of no less than half an example's share: what is smaller is 0 as far as can be seen."""
    return np.log(np.maximum(values, 1 / (2 * examples)))


def _plain(values: np.ndarray, _examples: np.ndarray) -> np.ndarray:
    """Return the values as they are."""
    return values


#: Shares of which more is better by their odds, what has no natural zero plainly, all else by its log.
SCALES = {
    "odds": Scale(_odds, "odds of an error"),
    "log": Scale(_log, "score"),
    "plain": Scale(_plain, None),
}


def scale_of(metric: str, *, real_targets: bool) -> str:
    """Return the name of a metric's scale; the NLL of real targets is of a density, which may be below 0."""
    if metric == "nll" and real_targets:
        return "plain"
    return "odds" if find(metric).direction == "higher" else "log"
