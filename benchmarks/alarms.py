"""How often the gate cries wolf: disjoint sets of seeds of one unchanged suite, relabelled as if they were shared.

    bench-uq run --seeds $(seq -s, 0 199) --device cpu --results pool      # quick: 80 minutes on two cores
    python -m benchmarks.alarms pool/quick

A set of seeds is to another what a suite is to itself after a change of nothing but its random streams. The pool is cut
at random into sets, pairs of sets are compared, and the pool is cut anew until there are enough comparisons.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench_uq.gate.margins import Margins
from bench_uq.gate.rule import check
from bench_uq.gate.sides import Side, read_folder

#: Comparisons that the project promises to look at, and how many alarms it promises at most.
PROMISED, ALLOWED = 50, 2
#: Comparisons behind the rates.
MANY = 500


def relabelled(side: Side, seeds: np.ndarray) -> Side:
    """Return the runs of some seeds, as if they were seeds 0, 1, ... of an environment that nobody knows."""
    names = {int(seed): place for place, seed in enumerate(seeds)}
    scores = side.scores[side.scores["seed"].isin(names)]
    runs = {
        (dataset, method, names[seed]): replace(run, environment="")
        for (dataset, method, seed), run in side.runs.items()
        if seed in names
    }
    return replace(side, scores=scores.assign(seed=scores["seed"].map(names)), runs=runs)


def pairs(pool: np.ndarray, size: int, random: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs of disjoint sets without end."""
    while True:
        sets = random.permutation(pool)[: len(pool) // (2 * size) * 2 * size].reshape(-1, 2, size)
        yield from ((one, other) for one, other in sets)


def alarms(side: Side, size: int, comparisons: int, random: np.random.Generator) -> Counter[str]:
    """Return how many comparisons end with each verdict."""
    pool = np.array(sorted({key[2] for key in side.runs}))
    found = Counter[str]()
    for (one, other), _ in zip(pairs(pool, size, random), range(comparisons), strict=False):
        outcome = check(relabelled(side, one), relabelled(side, other), Margins())
        found[outcome.verdict] += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="a suite's folder of results with many seeds")
    side = read_folder(parser.parse_args().folder)
    seeds = len({key[2] for key in side.runs})
    promised = alarms(side, 5, PROMISED, np.random.default_rng(0))
    print(f"{seeds} seeds; {PROMISED} comparisons of 5 seeds with 5 others: {promised['regressed']} alarms, ", end="")
    print(f"{promised['inconclusive']} inconclusive (promised: at most {ALLOWED} alarms)\n")
    print(
        f"| {MANY} comparisons of | seeds | regressed | inconclusive | improved |\n| --- | ---: | ---: | ---: | ---: |"
    )
    methods = sorted({key[1] for key in side.runs})
    for name, part in (("all methods", side), *((method, side.of([method], [])) for method in methods)):
        for size in (5, 10):
            found = alarms(part, size, MANY, np.random.default_rng(size))
            shares = [f"{found[verdict] / MANY:.1%}" for verdict in ("regressed", "inconclusive", "improved")]
            print(f"| {name} | {size} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
