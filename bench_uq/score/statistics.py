"""What seeds can tell: intervals, paired tests, ties with the best, ranks across datasets. NumPy
and SciPy alone.

The unit of replication is the seed. Two methods are compared by the differences of the seeds that
both finished.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from scipy import optimize, special, stats

#: How often a claim may be false: of one interval, and of all differences of one score together.
ALPHA = 0.05
#: How often a difference of the detectable size is found.
POWER = 0.8

#: A value a seed.
Values = Mapping[int, float]


@dataclass(frozen=True)
class Comparison:
    """Which methods are best at one score, and how sure that is.

    ``tied`` holds the best and what is not distinguishable from it, ``worse`` what is, by its
    adjusted p-value; ``apart`` what shares fewer than two seeds with the best, so that nothing can
    be said. ``behind`` is by how much the best is better, in the mean over shared seeds, below 0
    where what is tied is ahead on these; ``detectable`` is the difference that ``seeds`` seeds, the
    fewest that two methods share, would find with a probability of POWER.
    """

    best: str
    tied: tuple[str, ...]
    worse: Mapping[str, float]
    apart: tuple[str, ...]
    behind: Mapping[str, float]
    seeds: int
    detectable: float


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of methods over datasets, 1 for the best; ``p`` of Friedman's test, NaN for fewer
    than three methods.

    Two methods whose mean ranks differ by less than ``critical`` are not distinguishable (Nemenyi).
    """

    mean: Mapping[str, float]
    datasets: int
    p: float
    critical: float


def interval(values: Sequence[float], confidence: float = 1 - ALPHA) -> tuple[float, float]:
    """Return Student's interval of the mean over seeds; NaN for fewer than two."""
    finite = np.asarray(values, dtype=float)
    if len(finite) < 2:
        return math.nan, math.nan
    half = (
        stats.t.ppf((1 + confidence) / 2, len(finite) - 1)
        * finite.std(ddof=1)
        / math.sqrt(len(finite))
    )
    return float(finite.mean() - half), float(finite.mean() + half)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted so that all together are false at most as often as one would be
    (Holm 1979).
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def paired_p(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the two-sided p-value of a difference, paired by seed: Student's t test; 1 for fewer
    than two pairs.

    Where all differences are one number their spread says nothing, and the sign test takes over.
    """
    differences = np.asarray(one, dtype=float) - np.asarray(other, dtype=float)
    if len(differences) < 2:
        return 1.0
    rounding = 8 * np.finfo(float).eps * float(np.abs([one, other]).max())
    if np.abs(differences).max() <= rounding:
        return 1.0
    spread = differences.std(ddof=1)
    if spread <= rounding:
        return float(2.0 ** (1 - len(differences)))
    t = differences.mean() / (spread / math.sqrt(len(differences)))
    return float(
        2 * special.stdtr(len(differences) - 1, -abs(t))
    )  # stats.t.sf takes fifty times as long


def compare(values: Mapping[str, Values], direction: str) -> Comparison | None:
    """Compare methods at one score, ``direction`` "higher" or "lower"; None where no two of them
    share two seeds.

    The best is chosen after looking, so each pair of methods counts as a comparison for Holm's
    correction, not only those with the best: otherwise five equal methods have a false loser in 7
    to 8 % of columns (studies/claims.py). A method with a value that is not finite is compared
    with none: its other seeds would flatter it.
    """
    sign = 1 if direction == "higher" else -1
    pairs = _pairs(
        {name: own for name, own in values.items() if all(map(math.isfinite, own.values()))}, sign
    )
    if not pairs:
        return None
    adjusted = dict(zip(pairs, holm([pair.p for pair in pairs.values()]), strict=True))
    best = _best(values, pairs, adjusted, sign)
    behind = {pair[1] if pair[0] == best else pair[0]: pair for pair in pairs if best in pair}
    ahead = {
        name: pairs[pair].ahead * (1 if pair[0] == best else -1) for name, pair in behind.items()
    }
    worse = {
        name: adjusted[pair]
        for name, pair in behind.items()
        if adjusted[pair] <= ALPHA and ahead[name] > 0
    }
    fewest = min(pair.seeds for pair in pairs.values())
    return Comparison(
        best=best,
        tied=tuple(
            name for name in values if name == best or (name in behind and name not in worse)
        ),
        worse=worse,
        apart=tuple(name for name in values if name != best and name not in behind),
        behind=ahead,
        seeds=fewest,
        detectable=detectable_difference(
            float(np.median([pair.spread for pair in pairs.values()])), fewest, len(pairs)
        ),
    )


@dataclass(frozen=True)
class _Pair:
    """Lead of the first of two methods, and its significance before any correction."""

    ahead: float
    spread: float
    p: float
    seeds: int


def _pairs(values: Mapping[str, Values], sign: int) -> dict[tuple[str, str], _Pair]:
    """Return what each two methods that share two seeds or more differ by on these."""
    found = {}
    for one, other in combinations(sorted(values), 2):
        seeds = sorted(set(values[one]) & set(values[other]))
        if len(seeds) >= 2:
            first, second = ([values[name][seed] for seed in seeds] for name in (one, other))
            differences = np.subtract(first, second)
            ahead, spread = sign * float(differences.mean()), float(differences.std(ddof=1))
            found[one, other] = _Pair(ahead, spread, paired_p(first, second), len(seeds))
    return found


def _best(
    values: Mapping[str, Values],
    pairs: Mapping[tuple[str, str], _Pair],
    adjusted: Mapping[tuple[str, str], float],
    sign: int,
) -> str:
    """Return the method of the best mean over its seeds among those that none is better than on the
    seeds of both.
    """
    compared = sorted({name for pair in pairs for name in pair})
    beaten = {
        pair[1] if pairs[pair].ahead > 0 else pair[0] for pair, p in adjusted.items() if p <= ALPHA
    }
    unbeaten = [name for name in compared if name not in beaten]
    return max(
        unbeaten or compared, key=lambda name: sign * float(np.mean(list(values[name].values())))
    )


def detectable_difference(
    spread: float, seeds: int, comparisons: int = 1, *, freedom: float | None = None, sides: int = 2
) -> float:
    """Return the true difference that a paired t test over so many seeds finds with a probability
    of POWER.

    ``spread`` is the standard deviation of the paired differences, known with as many degrees of
    ``freedom``, if not with one less than seeds; the level is ALPHA over all ``comparisons``, on
    one or both ``sides``.
    """
    if seeds < 2 or not spread > 0:
        return math.nan
    return (
        _detectable_spreads(seeds, comparisons, seeds - 1 if freedom is None else freedom, sides)
        * spread
    )


@cache
def _detectable_spreads(seeds: int, comparisons: int, freedom: float, sides: int) -> float:
    """Return the detectable difference in standard deviations of the paired differences."""
    critical = stats.t.ppf(1 - ALPHA / comparisons / sides, freedom)
    # The noncentral t of SciPy is NaN in places; here it is a mean of normals over the spread that
    # seeds would show.
    places, weights = np.polynomial.legendre.leggauss(200)
    shown = critical * np.sqrt(stats.chi2.ppf((places + 1) / 2, freedom) / freedom)

    def excess(shift: float) -> float:
        found = stats.norm.cdf(shift - shown) + (sides - 1) * stats.norm.cdf(-shift - shown)
        return float(weights @ found) / 2 - POWER

    return float(optimize.brentq(excess, 0.0, critical * 10)) / math.sqrt(seeds)


def ranks(means: Mapping[str, Mapping[str, float]], direction: str) -> Ranks | None:
    """Rank methods over the datasets that all of them have a value of; None for fewer than two
    methods or datasets.

    ``means`` holds a value a dataset for each method. Ties share the mean of their ranks (Demšar
    2006).
    """
    shared = sorted(set.intersection(*(set(own) for own in means.values()))) if means else []
    if len(means) < 2 or len(shared) < 2:
        return None
    sign = -1 if direction == "higher" else 1
    table = sign * np.array([[own[dataset] for own in means.values()] for dataset in shared])
    placed = stats.rankdata(table, axis=1)
    varied = len(means) > 2 and (placed != placed[:, :1]).any()
    p = float(stats.friedmanchisquare(*table.T).pvalue) if varied else math.nan
    mean = dict(zip(means, (float(rank) for rank in placed.mean(axis=0)), strict=True))
    return Ranks(mean, len(shared), p, critical_difference(len(means), len(shared)))


def critical_difference(methods: int, datasets: int) -> float:
    """Return Nemenyi's critical difference of mean ranks at ALPHA (Demšar 2006, section 3.2.2)."""
    q = stats.studentized_range.ppf(1 - ALPHA, methods, math.inf) / math.sqrt(2)
    return float(q * math.sqrt(methods * (methods + 1) / (6 * datasets)))


def cliques(result: Ranks) -> list[tuple[str, ...]]:
    """Return the largest groups of methods that are not distinguishable, best first, those of one
    left out.
    """
    ordered = sorted(result.mean, key=lambda name: result.mean[name])
    groups: list[tuple[str, ...]] = []
    for place, first in enumerate(ordered):
        group = tuple(
            name
            for name in ordered[place:]
            if result.mean[name] - result.mean[first] < result.critical
        )
        if len(group) > 1 and not (groups and set(group) <= set(groups[-1])):
            groups.append(group)
    return groups
