"""Paired differences of many methods at once: their variances and p-values, in rows of arrays."""

from __future__ import annotations

import numpy as np
from scipy import special


def crossed_rows(
    differences: np.ndarray, by_group: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Variance of each mean difference over new seeds and examples, its freedom, and a share.

    ``differences`` (K, S) are by seed, ``by_group`` (K, S, G) their pseudo-values by group of test
    examples. The share is that of the examples in the variance. The formula is that of
    ``statistics.crossed``.
    """
    rows, seeds, groups = by_group.shape
    of_seeds = differences.var(axis=1, ddof=1) / seeds
    of_examples = by_group.mean(axis=1).var(axis=1, ddof=1) / groups

    whole = by_group.reshape(rows, -1).mean(axis=1)[:, None, None]
    rest = by_group - by_group.mean(axis=1, keepdims=True) - by_group.mean(axis=2, keepdims=True)
    squares = np.square(rest + whole).reshape(rows, -1).sum(axis=1)
    both = (seeds - 1) * (groups - 1)
    of_both = squares / both / (seeds * groups)

    further = np.maximum(of_examples - of_both, 0.0)
    variance = of_seeds + further
    freedom, share = np.full(rows, seeds - 1.0), np.zeros(rows)
    of_both_kinds = further > 0

    squares = of_seeds**2 / (seeds - 1) + of_examples**2 / (groups - 1) + of_both**2 / both
    np.divide(variance**2, squares, out=freedom, where=of_both_kinds)
    np.divide(further, variance, out=share, where=of_both_kinds)
    return variance, freedom, share


def rounding_rows(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The largest difference of each pair of rows (K, S) that rounding alone can make."""
    largest = np.maximum(abs(one).max(axis=1), abs(other).max(axis=1))
    return 8 * np.finfo(float).eps * largest


def p_rows(
    one: np.ndarray, other: np.ndarray, variance: np.ndarray, freedom: np.ndarray
) -> np.ndarray:
    """Two-sided p-value of each pair of rows (K, S), S of two or more, as ``statistics.paired_p``.

    ``variance`` and ``freedom`` are those of the mean difference, (K,).
    """
    differences = one - other
    rounding = rounding_rows(one, other)
    # Where neither method varies over its seeds, or the two agree, these replicate nothing.
    varies = np.maximum(np.ptp(one, axis=1), np.ptp(other, axis=1)) > rounding
    tested = varies & (abs(differences).max(axis=1) > rounding)
    # Differences that are all one number have a spread that carries no information: t would be
    # infinite, and its p-value 0 from two seeds on.
    constant = differences.std(axis=1, ddof=1) <= rounding

    found = np.ones(len(differences))
    found[tested & constant] = 2.0 ** (1 - differences.shape[1])
    chosen = tested & ~constant
    t = differences[chosen].mean(axis=1) / np.sqrt(variance[chosen])
    # stats.t.sf takes fifty times as long.
    found[chosen] = 2 * special.stdtr(freedom[chosen], -abs(t))
    return found
