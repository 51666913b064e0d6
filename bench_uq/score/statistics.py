"""Intervals, paired tests, ties with the best, and ranks across datasets; NumPy and SciPy alone."""

# The unit of replication is the seed. Two methods are compared by the differences of the seeds that
# both finished, because seeds differ by more than methods do.

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from operator import itemgetter
from typing import Any

import numpy as np
from scipy import optimize, stats

from bench_uq.score.paired import crossed_rows, p_rows, rounding_rows

#: How often a claim may be false: of one interval, and of all differences of one score together.
ALPHA = 0.05
#: How often a difference of the detectable size is found.
POWER = 0.8

#: One value per seed.
Values = Mapping[int, float]
#: The pseudo-values of one score by group of test examples, (groups,), per seed (jackknife.py).
Groups = Mapping[int, np.ndarray]


@dataclass(frozen=True)
class Lead:
    """By how much the first of two methods is better, in the mean over the seeds of both.

    It is negative if the other is. ``error`` is its standard error, known with so many degrees of
    ``freedom``, and ``p`` is corrected after Holm for all pairs of the score.
    """

    ahead: float
    error: float
    freedom: float
    p: float

    @property
    def interval(self) -> tuple[float, float]:
        """Student's interval at 1 - ALPHA, of this pair alone; NaN without a spread."""
        if not self.error > 0:
            return math.nan, math.nan
        # Satterthwaite's freedom can fall below that of any variance, where t has no end.
        half = float(stats.t.ppf(1 - ALPHA / 2, max(1.0, self.freedom))) * self.error
        return self.ahead - half, self.ahead + half

    @property
    def turned(self) -> Lead:
        """The same, seen from the other method."""
        return replace(self, ahead=-self.ahead)


@dataclass(frozen=True)
class Comparison:
    """Which methods are best at one score, and how sure that is.

    ``tied`` holds the best and the methods not significantly different from it, ``worse`` the
    others with their adjusted p-values, ``apart`` those that share fewer than two seeds with the
    best. ``behind`` is by how much the best is better, in the mean over shared seeds: negative if a
    tied method is ahead on these. ``seeds`` are the fewest that two methods share, and
    ``detectable`` the difference that so many would find with a probability of POWER.

    Of the tied, ``turned`` would be worse, but are not behind at another budget, which is given; of
    the worse, ``checked`` are behind at every other budget of both too (convergence.py).

    ``error`` is the standard error of a difference, of the median of ``pairs``, known with so many
    degrees of ``freedom``. ``examples`` is the share of the test examples in its variance; NaN if
    pairs were tested over seeds alone. ``leads`` has every pair once.
    """

    best: str
    tied: tuple[str, ...]
    worse: Mapping[str, float]
    apart: tuple[str, ...]
    behind: Mapping[str, float]
    seeds: int
    detectable: float
    turned: Mapping[str, float] = field(default_factory=dict)
    checked: frozenset[str] = frozenset()
    examples: float = math.nan
    error: float = math.nan
    freedom: int = 1
    pairs: int = 1
    leads: Mapping[tuple[str, str], Lead] = field(default_factory=dict)

    def lead(self, one: str, other: str) -> Lead | None:
        """How far one method is ahead of another; None if they were not compared."""
        if (one, other) in self.leads:
            return self.leads[one, other]
        found = self.leads.get((other, one))
        return found.turned if found else None

    @property
    def equal(self) -> tuple[str, ...]:
        """The best and the methods that no claim is made against, turned ones left out."""
        return tuple(name for name in self.tied if name not in self.turned)

    @property
    def crossed(self) -> bool:
        """Whether claims are of new test examples too, not only of new seeds."""
        return math.isfinite(self.examples)


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of methods over datasets, 1 for the best.

    ``p`` is of Friedman's test, NaN for fewer than three methods. Two methods whose mean ranks
    differ by less than ``critical`` are not significantly different (Nemenyi).
    """

    mean: Mapping[str, float]
    datasets: int
    p: float
    critical: float


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Student's interval of the mean over seeds, at 1 - ALPHA; NaN for fewer than two finite ones,
    or for any other.
    """
    found = np.asarray(values, dtype=float)
    if len(found) < 2 or not np.isfinite(found).all():
        return math.nan, math.nan

    t = stats.t.ppf(1 - ALPHA / 2, len(found) - 1)
    half = t * found.std(ddof=1) / math.sqrt(len(found))
    return float(found.mean() - half), float(found.mean() + half)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: any of them is falsely small as rarely as one alone (Holm 1979)."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))

    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1.0)
    return list(adjusted.tolist())


def paired_p(one: Sequence[float], other: Sequence[float], known: Spread | None = None) -> float:
    """Two-sided p-value of Student's t test, paired by seed; 1 for fewer than two pairs.

    The sign test takes over if all differences are one number, and 1 if no method varies at all.
    ``known`` is the variance of the mean difference if that is not by seeds alone.
    """
    first, second = np.atleast_2d(np.asarray(one, float)), np.atleast_2d(np.asarray(other, float))
    if first.shape[1] < 2:
        return 1.0

    error, freedom = _error((first - second)[0], known)
    return float(p_rows(first, second, np.array([error**2]), np.array([freedom]))[0])


def paired_interval(
    one: Sequence[float], other: Sequence[float], known: Spread | None = None
) -> tuple[float, float]:
    """Student's interval of the mean difference, paired by seed, at 1 - ALPHA.

    NaN for fewer than two pairs, for values that are not finite, and if all differences are one
    number, which says nothing of their spread. ``known`` is as in ``paired_p``.
    """
    differences = np.asarray(one, dtype=float) - np.asarray(other, dtype=float)
    if len(differences) < 2 or not np.isfinite(differences).all():
        return math.nan, math.nan
    if differences.std(ddof=1) <= _rounding(one, other):
        return math.nan, math.nan

    error, freedom = _error(differences, known)
    # Satterthwaite's freedom can fall below that of any variance, where t has no end to speak of.
    half = stats.t.ppf(1 - ALPHA / 2, max(1.0, freedom)) * error
    return float(differences.mean() - half), float(differences.mean() + half)


def _rounding(one: Sequence[float], other: Sequence[float]) -> float:
    """The largest difference of two methods that rounding alone can make."""
    return float(rounding_rows(np.atleast_2d(one), np.atleast_2d(other))[0])


def _error(differences: np.ndarray, known: Spread | None) -> tuple[float, float]:
    """Standard error of a mean difference over seeds, or the known one, and its freedom."""
    if known is not None:
        return math.sqrt(known.variance), known.freedom
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return error, float(len(differences) - 1)


@dataclass(frozen=True)
class Spread:
    """The variance of a mean difference, its degrees of freedom, and the examples' share of it."""

    variance: float
    freedom: float
    examples: float


def crossed(differences: np.ndarray, by_group: np.ndarray) -> Spread:
    """The variance of a mean paired difference over new seeds and new test examples.

    ``differences`` (S,) are by seed, ``by_group`` (S, G) their pseudo-values by group of test
    examples. Seeds and examples are crossed random effects, as readers and cases are in radiology
    (Dorfman, Berbaum & Metz 1992): V = V_seeds + max(V_examples - V_both, 0), where V_both is the
    part that is in both of the others. The degrees of freedom are Satterthwaite's.
    """
    found = crossed_rows(differences[None], by_group[None])
    return Spread(*(float(one[0]) for one in found))


def compare(
    values: Mapping[str, Values], direction: str, groups: Mapping[str, Groups] | None = None
) -> Comparison | None:
    """Compare methods at one score, ``direction`` "higher" or "lower".

    With ``groups``, the pseudo-values of all methods by seed, claims are of new seeds and new test
    examples, otherwise of new seeds alone. None if no two methods share two seeds. A method with a
    value that is not finite is compared with none.
    """
    sign = _sign(direction)
    # A method with a value that is not finite would be flattered by its other seeds.
    whole = {name: own for name, own in values.items() if all(map(math.isfinite, own.values()))}
    pairs = _pairs(whole, sign, groups or {})
    if not pairs:
        return None

    # The best is chosen after looking, so each pair of methods counts as a comparison, not only
    # those with the best. Otherwise five equal methods have a false loser in 7 to 8 % of columns
    # (studies/claims.py).
    adjusted = dict(zip(pairs, holm([pair.p for pair in pairs.values()]), strict=True))
    best = _best(values, pairs, adjusted, sign)

    behind, worse = dict[str, float](), dict[str, float]()
    for (one, other), p in adjusted.items():
        if best not in (one, other):
            continue
        name, ahead = other, pairs[one, other].ahead
        if other == best:
            name, ahead = one, -ahead

        behind[name] = ahead
        # The best has the best mean over its own seeds; on those of both it may be behind.
        if p <= ALPHA and ahead > 0:
            worse[name] = p

    rest = [name for name in values if name not in worse]
    fewest = min(pair.seeds for pair in pairs.values())
    error = float(np.median([math.sqrt(pair.spread.variance) for pair in pairs.values()]))
    # Whole, so that few are looked up in a table of them.
    freedom = int(np.median([pair.spread.freedom for pair in pairs.values()]))
    return Comparison(
        best=best,
        tied=tuple(name for name in rest if name == best or name in behind),
        worse=worse,
        apart=tuple(name for name in rest if name != best and name not in behind),
        behind=behind,
        seeds=fewest,
        detectable=detectable_difference(
            error * math.sqrt(fewest), fewest, len(pairs), freedom=max(1, freedom)
        ),
        examples=float(np.median([pair.spread.examples for pair in pairs.values()])),
        error=error,
        freedom=max(1, freedom),
        pairs=len(pairs),
        leads={names: pair.lead(adjusted[names]) for names, pair in pairs.items()},
    )


def _sign(direction: str) -> int:
    """1 if higher scores are better, else -1."""
    return 1 if direction == "higher" else -1


@dataclass(frozen=True)
class _Pair:
    """Lead of the first of two methods, and its significance before any correction."""

    ahead: float
    spread: Spread
    p: float
    seeds: int

    def lead(self, adjusted: float) -> Lead:
        """The same with its corrected p-value."""
        return Lead(self.ahead, math.sqrt(self.spread.variance), self.spread.freedom, adjusted)


def _pairs(
    values: Mapping[str, Values], sign: int, groups: Mapping[str, Groups]
) -> dict[tuple[str, str], _Pair]:
    """Differences of each two methods over the seeds of both, which must be two or more."""
    names, found = sorted(values), dict[tuple[str, str], _Pair]()
    for place, one in enumerate(names):
        # Those that share the same seeds with it are compared at once.
        sharing = defaultdict[tuple[int, ...], list[str]](list)
        for other in names[place + 1 :]:
            seeds = tuple(sorted(values[one].keys() & values[other].keys()))
            if len(seeds) >= 2:
                sharing[seeds].append(other)

        own = dict[str, _Pair]()
        for seeds, others in sharing.items():
            own |= _beside(one, others, seeds, values, sign, groups)
        found |= {(one, other): own[other] for other in names[place + 1 :] if other in own}
    return found


def _beside(
    one: str,
    others: Sequence[str],
    seeds: Sequence[int],
    values: Mapping[str, Values],
    sign: int,
    groups: Mapping[str, Groups],
) -> dict[str, _Pair]:
    """Differences of a method to others over the same seeds."""
    first = _over(seeds, values[one])
    second = np.stack([_over(seeds, values[other]) for other in others])
    differences = first - second

    # Unlike the gate, each pair has its own variance: an ensemble varies less over seeds than a
    # single network, so that a pooled one would be too small for the other pairs.
    variance = differences.var(axis=1, ddof=1) / len(seeds)
    freedom = np.full(len(others), len(seeds) - 1.0)
    share = np.full(len(others), math.nan)
    if groups:
        by_group = np.stack([_over(seeds, groups[other]) for other in others])
        variance, freedom, share = crossed_rows(differences, _over(seeds, groups[one]) - by_group)

    p = p_rows(np.broadcast_to(first, second.shape), second, variance, freedom).tolist()
    ahead = (sign * differences.mean(axis=1)).tolist()
    spreads = zip(variance.tolist(), freedom.tolist(), share.tolist(), strict=True)

    found = {}
    for other, lead, spread, chance in zip(others, ahead, spreads, p, strict=True):
        found[other] = _Pair(lead, Spread(*spread), chance, len(seeds))
    return found


def _over(seeds: Sequence[int], values: Mapping[int, Any]) -> np.ndarray:
    """Values, or rows of them, by seed."""
    return np.array([values[seed] for seed in seeds])


def _best(
    values: Mapping[str, Values],
    pairs: Mapping[tuple[str, str], _Pair],
    adjusted: Mapping[tuple[str, str], float],
    sign: int,
) -> str:
    """The method of the best mean over its seeds, among those that no other is better than."""
    # A method of few easy seeds may have the best mean and yet lose on the seeds of both.
    compared, beaten = set[str](), set[str]()
    for (one, other), p in adjusted.items():
        compared |= {one, other}
        if p <= ALPHA and pairs[one, other].ahead > 0:
            beaten.add(other)
        elif p <= ALPHA:
            beaten.add(one)

    # Where each method is beaten by another, in a circle, the mean decides among all.
    unbeaten = sorted(compared - beaten) or sorted(compared)
    return max(unbeaten, key=lambda name: sign * float(np.mean(list(values[name].values()))))


def detectable_difference(
    spread: float, seeds: int, comparisons: int = 1, *, freedom: float | None = None, sides: int = 2
) -> float:
    """The true difference that a paired t test finds with a probability of POWER.

    ``spread`` is the standard deviation of the paired differences, known with as many degrees of
    ``freedom``, by default one less than seeds. The level is ALPHA over all ``comparisons``, on one
    or both ``sides``.
    """
    if seeds < 2 or not spread > 0:
        return math.nan

    if freedom is None:
        freedom = seeds - 1
    return _detectable_spreads(seeds, comparisons, freedom, sides) * spread


def seeds_for(comparison: Comparison, difference: float, most: int) -> int | None:
    """About the fewest seeds with which two methods of the median error would be told apart.

    The part of the seeds in the variance falls with their number, that of the test examples does
    not: None if so many as ``most`` are not enough.
    """
    # Without groups of examples all of the variance is of the seeds.
    fixed = comparison.examples if comparison.crossed else 0.0

    def enough(seeds: int) -> bool:
        share = fixed + (1 - fixed) * comparison.seeds / seeds
        spread = comparison.error * math.sqrt(share * seeds)
        # Degrees of freedom grow as those of the seeds do.
        freedom = comparison.freedom * (seeds - 1) // (comparison.seeds - 1)
        found = detectable_difference(spread, seeds, comparison.pairs, freedom=freedom)
        return found <= difference

    numbers = range(comparison.seeds + 1, most + 1)
    place = bisect_left(numbers, True, key=enough)
    return numbers[place] if place < len(numbers) else None


@cache
def _detectable_spreads(seeds: int, comparisons: int, freedom: float, sides: int) -> float:
    """The detectable difference in standard deviations of the paired differences."""
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
    """Rank methods over the datasets of all of them; None for fewer than two of either.

    ``means`` holds one value per dataset for each method. Ties share the mean of their ranks
    (Demšar 2006).
    """
    if len(means) < 2:
        return None
    shared = sorted(set.intersection(*map(set, means.values())))
    if len(shared) < 2:
        return None

    table = np.column_stack([itemgetter(*shared)(own) for own in means.values()])
    placed = stats.rankdata(-_sign(direction) * table, axis=1)
    # SciPy's test takes three methods or more, and divides by zero if every dataset ties them all.
    p = math.nan
    if len(means) > 2 and (placed != placed[:, :1]).any():
        p = float(stats.friedmanchisquare(*placed.T).pvalue)

    mean = dict(zip(means, placed.mean(axis=0).tolist(), strict=True))
    return Ranks(mean, len(shared), p, critical_difference(len(means), len(shared)))


def critical_difference(methods: int, datasets: int) -> float:
    """Nemenyi's critical difference of mean ranks at ALPHA (Demšar 2006, section 3.2.2)."""
    q = stats.studentized_range.ppf(1 - ALPHA, methods, math.inf) / math.sqrt(2)
    return float(q * math.sqrt(methods * (methods + 1) / (6 * datasets)))


def cliques(result: Ranks) -> list[tuple[str, ...]]:
    """The largest groups of methods that are not significantly different, best first."""
    mean = result.mean
    ordered = sorted(mean, key=lambda name: mean[name])

    groups: list[tuple[str, ...]] = []
    for place, first in enumerate(ordered):
        rest = ordered[place:]
        group = tuple(name for name in rest if mean[name] - mean[first] < result.critical)
        # The methods are in order, so only the group before can hold all of this one.
        if len(group) > 1 and not (groups and set(group) <= set(groups[-1])):
            groups.append(group)
    return groups
