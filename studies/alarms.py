"""False alarms of the gate: disjoint sets of seeds of one unchanged suite, relabelled as shared.

    bench-uq run --seeds 0-99 --device cpu --results pool   # two hours on two cores
    python -m studies.alarms pool/quick             # and with --spreads

Two sets of seeds differ as a suite differs from itself if only its random streams change. The pool
is split at random into sets, pairs of sets are compared, and the pool is split anew until there are
enough comparisons.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench_uq.check.margins import Margins
from bench_uq.check.results import SuiteResults, narrowed, read_folder
from bench_uq.check.rule import judge
from studies.claims import table
from studies.spreads import WAYS, known_by

#: Comparisons behind the project's promise, and the alarms that it allows.
PROMISED, ALLOWED = 50, 2
#: Comparisons behind the rates.
MANY = 500


def relabelled(results: SuiteResults, seeds: np.ndarray) -> SuiteResults:
    """Runs of some seeds, renamed to seeds 0, 1, ... of an unknown environment."""
    names = {int(seed): place for place, seed in enumerate(seeds)}
    scores = results.scores[results.scores["seed"].isin(names)]
    scores = scores.assign(seed=scores["seed"].map(names))

    runs = {}
    for (dataset, method, seed), run in results.runs.items():
        if seed in names:
            runs[dataset, method, names[seed]] = replace(run, environment="")
    return replace(results, scores=scores, runs=runs)


def pairs(
    pool: np.ndarray, size: int, random: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of disjoint sets, without end."""
    used = len(pool) // (2 * size) * 2 * size
    while True:
        sets = random.permutation(pool)[:used].reshape(-1, 2, size)
        yield from ((one, other) for one, other in sets)


def whole(results: SuiteResults) -> list[int]:
    """Seeds of which every run finished."""
    failed = {key[2] for key, run in results.runs.items() if run.status != "ok"}
    return sorted({key[2] for key in results.runs} - failed)


def alarms(
    results: SuiteResults, size: int, comparisons: int, random: np.random.Generator
) -> Counter[str]:
    """Number of comparisons that end with each verdict."""
    pool = np.array(whole(results))
    found = Counter[str]()
    for one, other in itertools.islice(pairs(pool, size, random), comparisons):
        outcome = judge(relabelled(results, one), relabelled(results, other), Margins())
        found[outcome.verdict] += 1
    return found


def shares(results: SuiteResults, size: int) -> list[float]:
    """Shares of MANY comparisons that end regressed, inconclusive and improved."""
    found = alarms(results, size, MANY, np.random.default_rng(size))
    return [found[verdict] / MANY for verdict in ("regressed", "inconclusive", "improved")]


def promise(results: SuiteResults) -> None:
    """Print the alarms that the project promises to look at."""
    found = alarms(results, 5, PROMISED, np.random.default_rng(0))
    print(f"{len(whole(results))} seeds; {PROMISED} comparisons of 5 seeds with 5 others: ", end="")
    print(f"{found['regressed']} alarms, {found['inconclusive']} inconclusive ", end="")
    print(f"(promised: at most {ALLOWED} alarms)")


def rates(results: SuiteResults) -> None:
    """Print the rates of all verdicts, for all methods and for each method alone."""
    parts = {"all": results}
    for method in sorted({key[1] for key in results.runs}):
        parts[method] = narrowed([results], [method], [])[0]

    rows = []
    for (name, part), size in itertools.product(parts.items(), (5, 10)):
        rows.append((name, size, *shares(part, size)))
    print(f"\n{MANY} comparisons each:\n")
    table(["methods", "seeds", "regressed", "inconclusive", "improved"], rows)


def ways(results: SuiteResults) -> None:
    """Print the alarms of other variance estimates."""
    rows = []
    for way in WAYS:
        with known_by(way):
            rows.append((way, shares(results, 5)[0], shares(results, 10)[0]))
    print(f"{MANY} comparisons each:\n")
    table(["spread", "regressed, 5 seeds", "regressed, 10 seeds"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="False alarms of the gate on an unchanged suite.")
    parser.add_argument("folder", type=Path, help="a suite's folder of results with many seeds")
    parser.add_argument("--spreads", action="store_true", help="other variance estimates instead")
    arguments = parser.parse_args()

    results = read_folder(arguments.folder)
    if arguments.spreads:
        ways(results)
    else:
        promise(results)
        rates(results)


if __name__ == "__main__":
    main()
