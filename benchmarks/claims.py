"""How often a column of equal methods has a false loser: Holm over all pairs of methods, and over those with the best.

Five methods with equal means whose scores share the noise of their seed; ``python -m benchmarks.claims``.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from bench_uq.statistics import ALPHA, holm, paired_p

METHODS, TABLES = 5, 2000


def false_losers(seeds: int, spreads: np.ndarray) -> tuple[float, float]:
    """Return the shares of columns in which the best is told apart from another, by all pairs and by pairs with it."""
    random = np.random.default_rng(seeds)
    every, best_alone = 0, 0
    for _ in range(TABLES):
        values = random.normal(size=(METHODS, seeds)) * spreads[:, None] + random.normal(size=seeds)
        best = int(values.mean(axis=1).argmax())
        p = {pair: paired_p(values[pair[0]], values[pair[1]]) for pair in combinations(range(METHODS), 2)}
        adjusted = dict(zip(p, holm(list(p.values())), strict=True))
        with_best = [pair for pair in p if best in pair]
        every += any(adjusted[pair] <= ALPHA for pair in with_best)
        best_alone += any(value <= ALPHA for value in holm([p[pair] for pair in with_best]))
    return every / TABLES, best_alone / TABLES


def main() -> None:
    print(f"{METHODS} equal methods, {TABLES:,} columns: share with a false loser (stated: {ALPHA:.0%})")
    print("seeds  spreads  all pairs  pairs with the best")
    for name, spreads in (("equal", np.ones(METHODS)), ("1 to 5", np.arange(1.0, METHODS + 1))):
        for seeds in (3, 5, 10):
            every, best_alone = false_losers(seeds, spreads)
            print(f"{seeds:>5}  {name:<7}  {every:>9.1%}  {best_alone:>19.1%}")


if __name__ == "__main__":
    main()
