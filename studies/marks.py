"""How often the dagger of "not converged" is wrong: sets of seeds against all seeds of a pool.

    bench-uq run --seeds 0-19 --device cpu --results pool                  # 20 minutes
    bench-uq run --seeds 0-19 --device cpu --results pool --budget 0.5     # 10 minutes
    python -m studies.marks pool/quick

A method deserves the mark if the larger budget gains more than the tolerance in the mean over all
seeds. A mark by a few seeds is false if the method does not deserve it; the mark is missed if it
does and a few seeds do not give it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench_uq.score.cards import Cards
from bench_uq.score.convergence import changes
from bench_uq.score.results import Results, read
from studies.claims import table

SETS = 500
SIZES = (2, 3, 5)


def of_seeds(results: Results, seeds: Collection[int]) -> Results:
    """The results of some seeds alone, at every budget."""
    others = {}
    for budget, other in results.others.items():
        own = other.scores[other.scores["seed"].isin(seeds)]
        others[budget] = replace(other, scores=own)
    scores = results.scores[results.scores["seed"].isin(seeds)]
    return replace(results, scores=scores, others=others)


def clean(results: Results) -> Results:
    """The scores that the rule looks at, which makes the study quick."""
    others = {}
    for budget, other in results.others.items():
        rows = other.scores[other.scores["condition"] == "clean"]
        others[budget] = replace(other, scores=rows)
    rows = results.scores[results.scores["condition"] == "clean"]
    return replace(results, scores=rows, others=others)


def gains(results: Results) -> dict[str, list[tuple[str, float, float]]]:
    """By method the title, the gain over all seeds and the tolerance of each metric."""
    found: dict[str, list[tuple[str, float, float]]] = {}
    for method, own in changes(results, Cards()).items():
        found[method] = [(one.title, one.gain, one.tolerance) for one in own]
    return found


def marks(results: Results, size: int, random: np.random.Generator) -> Counter[str]:
    """How many of SETS random sets of seeds mark each method."""
    pool = sorted(set(results.scores["seed"]))
    found = Counter[str]()
    for _ in range(SETS):
        chosen = random.choice(pool, size, replace=False).tolist()
        for method, own in changes(of_seeds(results, chosen), Cards()).items():
            found[method] += any(one.material for one in own)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="False and missed marks of the rule of doubling.")
    parser.add_argument("folder", type=Path, help="a suite's folder with many seeds at two budgets")
    results = clean(read(parser.parse_args().folder))

    truth = gains(results)
    deserve = {}
    for method, own in truth.items():
        deserve[method] = any(gain > tolerance for _, gain, tolerance in own)
    counts = {size: marks(results, size, np.random.default_rng(size)) for size in SIZES}

    rows = []
    for method, own in truth.items():
        said = ", ".join(f"{title} {gain:+.3f}" for title, gain, _ in own)
        shares = [counts[size][method] / SETS for size in SIZES]
        rows.append((method, said, "yes" if deserve[method] else "no", *shares))
    print(f"{len(set(results.scores['seed']))} seeds; {SETS} sets of each size, marked:\n")
    table(["method", "gain", "deserves it", *(f"{size} seeds" for size in SIZES)], rows)

    print()
    for size in SIZES:
        false = [counts[size][one] / SETS for one, due in deserve.items() if not due]
        missed = [1 - counts[size][one] / SETS for one, due in deserve.items() if due]
        parts = []
        for name, shares in (("false", false), ("missed", missed)):
            if shares:
                parts.append(f"{name} {np.mean(shares):.1%} of {len(shares)} methods")
        print(f"{size} seeds: {', '.join(parts)}")


if __name__ == "__main__":
    main()
