"""Deep ensemble equivalent: networks that an ensemble needs to predict as well as a method.

Ashukha et al. 2020, section 4.4. Unlike in the paper, an ensemble is no better than its last
network that was trained: beyond that nothing is extrapolated.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from bench_uq.score.members import CURVES
from bench_uq.score.results import Results
from bench_uq.score.summaries import Curve, mean_curve

#: The metrics that are compared, the plain one first.
METRICS = tuple(CURVES)


@dataclass(frozen=True)
class Equivalent:
    """Numbers of networks over the seeds of a method, between 1 and K.

    ``below`` seeds are worse than one network and count as 1, ``above`` are better than K and count
    as K: then ``mean`` is a bound.
    """

    values: tuple[float, ...]
    below: int
    above: int

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def sd(self) -> float:
        """The sample standard deviation; NaN for one seed, or if the mean is a bound."""
        if len(self.values) < 2 or self.below or self.above:
            return math.nan
        return float(np.std(self.values, ddof=1))


@dataclass(frozen=True)
class Equivalents:
    """The equivalents of the methods on one dataset by method and metric, and the ensemble."""

    ensemble: str
    networks: int
    found: dict[tuple[str, str], Equivalent]

    def of(self, method: str) -> dict[str, Equivalent]:
        """Equivalents of a method by metric."""
        return {metric: one for (name, metric), one in self.found.items() if name == method}


def equivalents(results: Results, methods: Sequence[str]) -> Equivalents | None:
    """Compare methods, which must be alike, with the largest deterministic ensemble among them.

    None without one.
    """
    known = dict[str, dict[str, Curve]]()
    for method in methods:
        own = {}
        for metric, name in CURVES.items():
            curve = mean_curve(results, name, method, ("clean", None))
            if len(curve.x) > 1:
                own[metric] = curve
        if own:
            known[method] = own
    if not known:
        return None

    # Of equally large ones the first in the order of methods, which max keeps.
    ensemble = max(known, key=lambda name: largest(known[name].values()))
    found = {}
    for metric, curve in known[ensemble].items():
        for method in methods:
            values = clean_scores(results, method, metric)
            if len(values) and method != ensemble:
                found[method, metric] = over_seeds(curve, values)
    return Equivalents(ensemble, largest(known[ensemble].values()), found)


def largest(curves: Collection[Curve]) -> int:
    """The largest number of networks of some curves."""
    return max(int(curve.x[-1]) for curve in curves)


def clean_scores(results: Results, method: str, metric: str) -> np.ndarray:
    """A score of clean data by seed; none if one of them has no finite value."""
    scores = results.scores
    rows = (scores["method"] == method) & (scores["metric"] == metric)
    values = scores.loc[rows & (scores["condition"] == "clean"), "value"].to_numpy(float)
    # A mean over the other seeds would flatter the method.
    return values if np.isfinite(values).all() else np.empty(0)


def over_seeds(curve: Curve, values: np.ndarray) -> Equivalent:
    """The equivalents of a score of each seed."""
    reached = np.array([networks(curve, float(value)) for value in values])
    inside = reached.clip(curve.x[0], curve.x[-1])
    below, above = int((reached < curve.x[0]).sum()), int((reached > curve.x[-1]).sum())
    return Equivalent(tuple(inside.tolist()), below, above)


def networks(curve: Curve, value: float) -> float:
    """The number of networks at which a falling curve first comes down to a value.

    It lies on the line between two points; -inf above the first point, inf below all.
    """
    down = np.flatnonzero(curve.y <= value)
    if not len(down):
        return math.inf
    place = int(down[0])
    if place == 0:
        return float(curve.x[0]) if curve.y[0] == value else -math.inf

    (x, y), (next_x, next_y) = zip(
        curve.x[place - 1 : place + 1], curve.y[place - 1 : place + 1], strict=True
    )
    return float(x + (y - value) / (y - next_y) * (next_x - x))
