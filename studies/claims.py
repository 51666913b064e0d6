"""Error rates of every decision in bench_uq.statistics: false alarms without an effect, and power.

Scores are simulated, of methods that share the noise of their seed. ``python -m studies.claims``
prints the tables of docs/statistics.md.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

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
from bench_uq.store.derived import GROUPS

METHODS, TABLES = 5, 2000
SEEDS = (3, 5, 10)
#: Standard deviations over seeds of the five methods: equal, or as different as those of a network
#: and an ensemble.
SPREADS = {"equal": np.ones(METHODS), "1 to 5": np.arange(1.0, METHODS + 1)}


def scores(
    random: np.random.Generator, seeds: int, spreads: np.ndarray, shifts: np.ndarray | float = 0.0
) -> np.ndarray:
    """Scores (methods, seeds): each method's shift, its own noise, and noise of the shared seed."""
    own = random.normal(size=(len(spreads), seeds)) * spreads[:, None]
    return own + random.normal(size=seeds) + np.broadcast_to(shifts, len(spreads))[:, None]


def columns(values: np.ndarray) -> dict[str, dict[int, float]]:
    """Scores in the form that ``compare`` and ``ranks`` take."""
    return {str(name): dict(enumerate(row.tolist())) for name, row in enumerate(values)}


def often(trial: Callable[[np.random.Generator], bool], seed: int) -> float:
    """Share of TABLES trials that succeed."""
    random = np.random.default_rng(seed)
    return sum(trial(random) for _ in range(TABLES)) / TABLES


def covered(seeds: int) -> float:
    """Share of intervals of one method that hold its true mean."""

    def trial(random: np.random.Generator) -> bool:
        low, high = interval(random.normal(size=seeds).tolist())
        return low <= 0 <= high

    return often(trial, seeds)


def pair_found(seeds: int, shift: float) -> float:
    """Share of significant pairs; ``shift`` is in standard deviations of the difference."""

    def trial(random: np.random.Generator) -> bool:
        one = random.normal(shift, size=seeds).tolist()
        return paired_p(one, [0.0] * seeds) <= ALPHA

    return often(trial, seeds)


def false_losers(seeds: int, spreads: np.ndarray) -> tuple[float, float]:
    """Shares of columns of equal methods with a loser: by all pairs, and by pairs with the best."""

    def by_all(random: np.random.Generator) -> bool:
        found = compare(columns(scores(random, seeds, spreads)), "higher")
        return found is not None and bool(found.worse)

    def with_best(random: np.random.Generator) -> bool:
        values = scores(random, seeds, spreads)
        best = int(values.mean(axis=1).argmax())
        others = np.delete(values, best, axis=0)
        return min(holm([paired_p(values[best], other) for other in others])) <= ALPHA

    return often(by_all, seeds), often(with_best, seeds)


def loser_found(seeds: int, spreads: np.ndarray) -> tuple[float, float]:
    """Shares of columns that name the worse method 0 as a loser, and that name another method.

    Method 0 is worse than the others by the detectable difference to method 1.
    """
    shift = np.zeros(METHODS)
    spread = float(np.sqrt(spreads[0] ** 2 + spreads[1] ** 2))
    shift[0] = -detectable_difference(spread, seeds, math.comb(METHODS, 2))

    random = np.random.default_rng(seeds)
    true, false = 0, 0
    for _ in range(TABLES):
        found = compare(columns(scores(random, seeds, spreads, shift)), "higher")
        losers = set(found.worse) if found else set()
        true += "0" in losers
        false += bool(losers - {"0"})
    return true / TABLES, false / TABLES


def ranked_apart(datasets: int, shift: float) -> tuple[float, float]:
    """Shares in which Friedman's test, and the critical difference, separate some two methods."""
    random, friedman, nemenyi = np.random.default_rng(datasets), 0, 0
    for _ in range(TABLES):
        values = random.normal(size=(METHODS, datasets)) + random.normal(size=datasets)
        values[0] += shift
        found = ranks(columns(values), "higher")  # type: ignore[arg-type]
        assert found is not None

        friedman += found.p <= ALPHA
        places = list(found.mean.values())
        nemenyi += max(places) - min(places) >= found.critical
    return friedman / TABLES, nemenyi / TABLES


def correct(
    random: np.random.Generator, seeds: int, examples: int, shift: float = 0.0
) -> np.ndarray:
    """Whether predictions are right, (METHODS, seeds, examples): about 95 % are.

    An example is as hard as it is, for one method more than for another, and a training is lucky or
    not; all methods are equally good but for the ``shift`` of the first.
    """

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal(shape, dtype=np.float32)

    ease = 3.2 + 1.5 * normal(examples) + 0.7 * normal(METHODS, 1, examples)
    ease[0] -= shift
    luck = 0.1 * normal(METHODS, seeds, 1)
    right: np.ndarray = ease + luck + normal(METHODS, seeds, examples) > 0
    return right


def by_group(right: np.ndarray) -> dict[str, dict[int, np.ndarray]]:
    """Accuracies by group of examples, in the form that ``compare`` takes."""
    shape = (METHODS, right.shape[1], GROUPS, -1)
    means = right.reshape(shape).mean(axis=-1)
    return {str(name): dict(enumerate(own)) for name, own in enumerate(means)}


def crossed_claims(seeds: int, examples: int, shift: float) -> list[float]:
    """Shares of columns with a false loser and with the true one, by seeds alone and by both."""
    random = np.random.default_rng(seeds)
    counts = np.zeros(4)
    for _ in range(TABLES):
        right = correct(random, seeds, examples, shift)
        values = columns(right.mean(axis=-1))
        for place, groups in enumerate((None, by_group(right))):
            found = compare(values, "higher", groups)
            losers = set(found.worse) if found else set()
            # Without a shift the first method is a false loser too.
            counts[place] += bool(losers - {"0"} if shift else losers)
            counts[2 + place] += "0" in losers
    return list(counts / TABLES)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table of Markdown."""
    print(f"| {' | '.join(heads)} |")
    print(f"| {' | '.join(['---:'] * len(heads))} |")
    for row in rows:
        cells = [f"{cell:.1%}" if isinstance(cell, float) else str(cell) for cell in row]
        print(f"| {' | '.join(cells)} |")


def singles() -> None:
    """Print the error rates of intervals and of pairs."""
    print("One score of one method, and two methods in a pair:\n")
    rows = []
    for seeds in SEEDS:
        size = detectable_difference(1, seeds)
        found = (pair_found(seeds, 0.0), f"{size:.2f} sd", pair_found(seeds, size))
        rows.append((seeds, covered(seeds), *found))
    interval_head = "95 % interval holds the mean"
    table(["seeds", interval_head, "equal, significant", "detectable difference", "found"], rows)


def whole_columns() -> None:
    """Print the error rates of columns of methods."""
    print(f"\nA column of {METHODS} methods:\n")
    rows = []
    for (name, spreads), seeds in itertools.product(SPREADS.items(), SEEDS):
        rows.append((seeds, name, *false_losers(seeds, spreads), *loser_found(seeds, spreads)))
    false = ("equal, a false loser", "by pairs with the best alone")
    table(["seeds", "spreads", *false, "true loser found", "another accused"], rows)


def new_examples() -> None:
    """Print the error rates of claims for new seeds and new test examples."""
    print(f"\nThe accuracy of {METHODS} methods, all of 95 %, or one of them of 92.8 %:\n")
    rows = []
    for seeds, examples in itertools.product(SEEDS, (200, 1000, 10_000)):
        false, both, *_ = crossed_claims(seeds, examples, 0.0)
        *_, found, found_by_both = crossed_claims(seeds, examples, 0.4)
        rows.append((seeds, examples, false, both, found, found_by_both))
    kinds = ("a false loser, seeds alone", "seeds and examples")
    table(["seeds", "examples", *kinds, "the true loser, seeds alone", kinds[1]], rows)


def mean_ranks() -> None:
    """Print the error rates of ranks over datasets."""
    print(f"\nMean ranks of {METHODS} methods, the first better by that many standard ", end="")
    print("deviations of a dataset's noise:\n")
    rows = []
    for shift, count in itertools.product((0, 2), (5, 10, 20)):
        rows.append((count, shift, *ranked_apart(count, float(shift))))
    tests = ("Friedman p at most 5 %", "some two beyond the critical difference")
    table(["datasets", "better by", *tests], rows)


def main() -> None:
    error = (0.05 * 0.95 / TABLES) ** 0.5
    print(f"{TABLES:,} simulations each; the standard error of a share of 5 % is {error:.1%}\n")
    singles()
    whole_columns()
    new_examples()
    mean_ranks()


if __name__ == "__main__":
    main()
