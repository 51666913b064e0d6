"""How often the gate cries wolf: disjoint sets of seeds of one unchanged suite, relabelled as if they were shared.

    bench-uq run --seeds $(seq -s, 0 99) --device cpu --results pool      # quick: 25 minutes on two cores
    python -m studies.alarms pool/quick             # and with --spreads

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

from bench_uq.check.margins import Margins
from bench_uq.check.results import Side, read_folder
from bench_uq.check.rule import check
from studies.claims import table
from studies.spreads import WAYS, known_by

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


def pairs(
    pool: np.ndarray, size: int, random: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs of disjoint sets without end."""
    while True:
        sets = random.permutation(pool)[: len(pool) // (2 * size) * 2 * size].reshape(-1, 2, size)
        yield from ((one, other) for one, other in sets)


def whole(side: Side) -> list[int]:
    """Return the seeds of which every run finished."""
    return sorted(
        {key[2] for key in side.runs}
        - {key[2] for key, run in side.runs.items() if run.status != "ok"}
    )


def alarms(side: Side, size: int, comparisons: int, random: np.random.Generator) -> Counter[str]:
    """Return how many comparisons end with each verdict."""
    pool = np.array(whole(side))
    found = Counter[str]()
    for (one, other), _ in zip(pairs(pool, size, random), range(comparisons), strict=False):
        outcome = check(relabelled(side, one), relabelled(side, other), Margins())
        found[outcome.verdict] += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description="How often the gate cries wolf on an unchanged suite."
    )
    parser.add_argument("folder", type=Path, help="a suite's folder of results with many seeds")
    parser.add_argument("--spreads", action="store_true", help="other ways to know spreads instead")
    arguments = parser.parse_args()
    side = read_folder(arguments.folder)
    if arguments.spreads:
        ways(side)
        return
    promised = alarms(side, 5, PROMISED, np.random.default_rng(0))
    print(
        f"{len(whole(side))} seeds; {PROMISED} comparisons of 5 seeds with 5 others: {promised['regressed']} alarms, ",
        end="",
    )
    print(
        f"{promised['inconclusive']} inconclusive (promised: at most {ALLOWED} alarms)\n\n{MANY} comparisons each:\n"
    )
    methods = sorted({key[1] for key in side.runs})
    rows = [
        (name, size, *shares(part, size))
        for name, part in (("all", side), *((method, side.of([method])) for method in methods))
        for size in (5, 10)
    ]
    table(["methods", "seeds", "regressed", "inconclusive", "improved"], rows)


def shares(side: Side, size: int) -> list[float]:
    """Return the shares of MANY comparisons that end regressed, inconclusive and improved."""
    found = alarms(side, size, MANY, np.random.default_rng(size))
    return [found[verdict] / MANY for verdict in ("regressed", "inconclusive", "improved")]


def ways(side: Side) -> None:
    """Print the alarms with other ways to know spreads."""
    rows = []
    for way in WAYS:
        with known_by(way):
            rows.append((way, *(shares(side, size)[0] for size in (5, 10))))
    print(f"{MANY} comparisons each:\n")
    table(["spread", "regressed, 5 seeds", "regressed, 10 seeds"], rows)


if __name__ == "__main__":
    main()
