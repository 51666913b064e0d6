"""The rule of doubling: what another budget of training changes, and which claims it turns.

A slope at the end of a training says nothing if the learning rate falls to 0 there: every curve is
flat. So runs at half or twice the epochs are held against those at the budget: docs/convergence.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bench_uq.score.cards import Cards
from bench_uq.score.results import Results
from bench_uq.score.statistics import Comparison, Values

#: Budgets in words; others are "1.5 times the epochs".
WORDS = {0.5: "half the epochs", 2.0: "twice the epochs"}


@dataclass(frozen=True)
class Change:
    """What another budget changes in a method's score on clean data.

    ``mean`` is the score there less that at the budget, over the seeds of both, and ``se`` its
    standard error, NaN for one seed. ``gain`` is by how much the larger budget is better, and
    ``tolerance`` the gain that still counts as none.
    """

    budget: float
    title: str
    mean: float
    se: float
    seeds: int
    gain: float
    tolerance: float

    @property
    def material(self) -> bool:
        """Whether the larger budget is better by more than the tolerance and a standard error."""
        # The spread of a single seed is unknown: it marks no method.
        return self.gain - self.se > self.tolerance

    def __str__(self) -> str:
        seeds = f"{self.seeds} seeds" if self.seeds > 1 else "1 seed"
        spread = f" ± {self.se:.2g}" if self.seeds > 1 else ""
        return f"{words(self.budget)}: {self.title} {self.mean:+.2g}{spread} ({seeds})"


def words(budget: float) -> str:
    """A budget in words."""
    return WORDS.get(budget, f"{budget:g} times the epochs")


def changes(results: Results, cards: Cards) -> dict[str, list[Change]]:
    """The changes of each method on one dataset, for every metric with a tolerance."""
    # A method is no better for a report of some metrics alone.
    before = results.scores if results.whole is None else results.whole

    found: dict[str, list[Change]] = {}
    for budget, other in results.others.items():
        for metric in cards:
            card = cards[metric]
            if card.tolerance is None:
                continue

            ours, theirs = _clean(before, metric), _clean(other.scores, metric)
            for method in ours.keys() & theirs.keys():
                seeds = sorted(ours[method].keys() & theirs[method].keys())
                differences = [theirs[method][seed] - ours[method][seed] for seed in seeds]
                if not differences or not np.isfinite(differences).all():
                    continue

                mean, se = float(np.mean(differences)), math.nan
                if len(seeds) > 1:
                    se = float(np.std(differences, ddof=1)) / math.sqrt(len(seeds))
                # What rounding alone leaves is no spread.
                if se < 1e-12:
                    se = 0.0
                gain = mean if (card.direction == "higher") == (budget > 1) else -mean
                one = Change(budget, card.heading, mean, se, len(seeds), gain, card.tolerance)
                found.setdefault(method, []).append(one)
    return found


def _clean(scores: pd.DataFrame, metric: str) -> dict[str, dict[int, float]]:
    """A metric on clean data by method and seed."""
    rows = scores[(scores["metric"] == metric) & (scores["condition"] == "clean")]
    return by_seed(rows)


def by_seed(rows: pd.DataFrame) -> dict[str, dict[int, float]]:
    """The values of one score by method and seed."""
    found: dict[str, dict[int, float]] = {}
    for method, seed, value in rows[["method", "seed", "value"]].itertuples(index=False, name=None):
        found.setdefault(str(method), {})[seed] = value
    return found


def settled(
    comparison: Comparison, others: Iterable[tuple[float, Mapping[str, Values]]], direction: str
) -> Comparison:
    """A comparison without the claims that turn at another budget.

    ``others`` are budgets, and the values of the same score there, by method and seed. A claim
    whose methods share no seed there is unchecked, and stands.
    """
    sign = 1 if direction == "higher" else -1
    turned, checked = dict[str, float](), set[str]()

    for budget, values in others:
        best = values.get(comparison.best, {})
        for method in comparison.worse:
            own = values.get(method, {})
            leads = [sign * (best[seed] - own[seed]) for seed in best.keys() & own.keys()]
            if not leads or not np.isfinite(leads).all():
                continue
            checked.add(method)
            if np.mean(leads) <= 0:
                turned[method] = budget

    kept = {method: p for method, p in comparison.worse.items() if method not in turned}
    return replace(
        comparison,
        worse=kept,
        tied=(*comparison.tied, *sorted(turned)),
        turned=turned,
        checked=frozenset(checked - turned.keys()),
    )
