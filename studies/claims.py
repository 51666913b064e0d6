"""How often each decision of bench_uq.statistics is wrong where there is nothing to find, and right where there is.

Simulated scores of methods that share the noise of their seed; ``python -m studies.claims`` prints the tables of
docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np

from bench_uq.score.statistics import (
    ALPHA,
    compare,
    detectable_difference,
    holm,
    interval,
    paired_p,
    ranks,
)

METHODS, TABLES = 5, 2000
SEEDS = (3, 5, 10)
#: Standard deviations of the five methods, for seeds to act on: alike, and as different as a net and an ensemble.
SPREADS = {"equal": np.ones(METHODS), "1 to 5": np.arange(1.0, METHODS + 1)}


def scores(
    random: np.random.Generator, seeds: int, spreads: np.ndarray, shifts: np.ndarray | float = 0.0
) -> np.ndarray:
    """Return scores (methods, seeds): a shift of each method, its own noise, and that of the seed, which all share."""
    own = random.normal(size=(len(spreads), seeds)) * spreads[:, None]
    return own + random.normal(size=seeds) + np.broadcast_to(shifts, len(spreads))[:, None]


def often(trial: Callable[[np.random.Generator], bool], seed: int) -> float:
    """Return the share of TABLES trials that say yes."""
    random = np.random.default_rng(seed)
    return sum(trial(random) for _ in range(TABLES)) / TABLES


def covered(seeds: int) -> float:
    """Return how often the interval of one method holds its true mean."""

    def trial(random: np.random.Generator) -> bool:
        low, high = interval(random.normal(size=seeds))
        return low <= 0 <= high

    return often(trial, seeds)


def pair_found(seeds: int, shift: float) -> float:
    """Return how often two methods are told apart that differ by that many standard deviations of the difference."""
    return often(
        lambda random: paired_p(random.normal(shift, size=seeds), np.zeros(seeds)) <= ALPHA, seeds
    )


def false_losers(seeds: int, spreads: np.ndarray) -> tuple[float, float]:
    """Return how often a column of equal methods has a loser, by all pairs as here and by those with the best."""

    def by_all(random: np.random.Generator) -> bool:
        found = compare(columns(scores(random, seeds, spreads)), "higher")
        return found is not None and bool(found.worse)

    def with_best(random: np.random.Generator) -> bool:
        values = scores(random, seeds, spreads)
        best = int(values.mean(axis=1).argmax())
        return (
            min(
                holm(
                    [
                        paired_p(values[best], values[other])
                        for other in range(METHODS)
                        if other != best
                    ]
                )
            )
            <= ALPHA
        )

    return often(by_all, seeds), often(with_best, seeds)


def loser_found(seeds: int, spreads: np.ndarray) -> tuple[float, float]:
    """Return how often a method that is worse by the detectable difference is found, and how often another is."""
    shift = np.zeros(METHODS)
    pairs = len(list(combinations(range(METHODS), 2)))
    shift[0] = -detectable_difference(
        float(np.sqrt(spreads[0] ** 2 + spreads[1] ** 2)), seeds, pairs
    )
    random = np.random.default_rng(seeds)
    found = [
        compare(columns(scores(random, seeds, spreads, shift)), "higher") for _ in range(TABLES)
    ]
    losers = [set(one.worse) if one else set() for one in found]
    return sum("0" in one for one in losers) / TABLES, sum(
        bool(one - {"0"}) for one in losers
    ) / TABLES


def columns(values: np.ndarray) -> dict[str, dict[int, float]]:
    """Return scores as ``compare`` takes them."""
    return {str(name): dict(enumerate(row.tolist())) for name, row in enumerate(values)}


def ranked_apart(datasets: int, shift: float) -> tuple[float, float]:
    """Return how often Friedman's test and the critical difference tell the first method from some other."""
    random, friedman, nemenyi = np.random.default_rng(datasets), 0, 0
    for _ in range(TABLES):
        values = random.normal(size=(METHODS, datasets)) + random.normal(size=datasets)
        values[0] += shift
        found = ranks(
            {str(name): dict(enumerate(map(float, row))) for name, row in enumerate(values)},
            "higher",
        )  # type: ignore[misc]
        assert found is not None
        friedman += found.p <= ALPHA
        places = list(found.mean.values())
        nemenyi += max(places) - min(places) >= found.critical
    return friedman / TABLES, nemenyi / TABLES


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table of Markdown."""
    texts = [
        [f"{cell:.1%}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows
    ]
    for row in [heads, ["---:"] * len(heads), *texts]:
        print(f"| {' | '.join(row)} |")


def main() -> None:
    error = (0.05 * 0.95 / TABLES) ** 0.5
    print(f"{TABLES:,} simulations each; the standard error of a share of 5 % is {error:.1%}\n")
    print("One score of one method, and two methods in a pair:\n")
    heads = [
        "seeds",
        "95 % interval holds the mean",
        "equal, told apart",
        "detectable difference",
        "found",
    ]
    rows = [
        (
            seeds,
            covered(seeds),
            pair_found(seeds, 0.0),
            f"{(size := detectable_difference(1, seeds)):.2f} sd",
            pair_found(seeds, size),
        )
        for seeds in SEEDS
    ]
    table(heads, rows)
    print(f"\nA column of {METHODS} methods:\n")
    heads = [
        "seeds",
        "spreads",
        "equal, a false loser",
        "by pairs with the best alone",
        "true loser found",
        "another accused",
    ]
    table(
        heads,
        [
            (seeds, name, *false_losers(seeds, spreads), *loser_found(seeds, spreads))
            for name, spreads in SPREADS.items()
            for seeds in SEEDS
        ],
    )
    print(
        f"\nMean ranks of {METHODS} methods, the first better by that many standard deviations of a dataset's noise:\n"
    )
    heads = [
        "datasets",
        "better by",
        "Friedman p at most 5 %",
        "some two beyond the critical difference",
    ]
    table(
        heads,
        [
            (count, shift, *ranked_apart(count, float(shift)))
            for shift in (0, 2)
            for count in (5, 10, 20)
        ],
    )


if __name__ == "__main__":
    main()
