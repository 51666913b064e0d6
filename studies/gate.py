"""The rule of bench-uq check on simulated suites.

``python -m studies.gate`` prints how often suites without a change raise an alarm, and how often a
score that got worse is named (docs/statistics.md).
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd

from bench_uq.check import rule
from bench_uq.check.margins import Margins, gated
from bench_uq.check.results import CELL, Run, SuiteResults
from bench_uq.check.rule import judge
from studies.claims import table
from studies.spreads import WAYS, known_by

SUITES = 500
SEEDS = (3, 5, 10)
#: Conditions of a simulated suite: clean and OOD data, two levels of an attack.
SHOWN = (("clean", math.nan), ("letters", math.nan), ("fgsm", 0.1), ("fgsm", 0.2))
SCORES = ("nll", "brier", "ece", "entropy")
#: Change of a score that got worse, in standard deviations of its paired difference.
WORSE = (2, 3, 5)
#: Heads of their columns.
NAMED = [f"named at {worse} sd" for worse in WORSE]
#: Margins so small that every change exceeds them.
NONE = Margins({"": dict.fromkeys(gated(), 1e-6)})
NAMES = ("a", "b", "c", "d", "e")


def suite(
    random: np.random.Generator, seeds: int, spreads: float, worse: float = 0.0
) -> tuple[SuiteResults, SuiteResults]:
    """Two results of a suite: 5 methods, 4 scores, 4 conditions, 80 cells.

    Standard deviations over seeds on the log scale lie between 0.05 and ``spreads`` times that, one
    per method and score. Conditions of one method share 80 % of their noise, methods 30 % of their
    seeds' noise. The clean NLL of the first method is worse by ``worse`` standard deviations of its
    paired difference.
    """
    shape = (2, len(NAMES), len(SCORES), len(SHOWN), seeds)
    common = random.normal(size=(2, 1, 1, 1, seeds))
    own = random.normal(size=(*shape[:3], 1, seeds))
    each = random.normal(size=shape)

    spread = 0.05 * spreads ** random.uniform(size=(1, len(NAMES), len(SCORES), 1, 1))
    noise = spread * (math.sqrt(0.3) * common + math.sqrt(0.5) * own + math.sqrt(0.2) * each)
    noise[1, 0, 0, 0] += worse * math.sqrt(2) * spread[0, 0, 0, 0, 0]
    return results(0.2 * np.exp(noise[0])), results(0.2 * np.exp(noise[1]))


def results(values: np.ndarray) -> SuiteResults:
    """Turn values (method, score, condition, seed) into results."""
    rows = []
    for (method, score, shown, seed), value in np.ndenumerate(values):
        rows.append(["digits", NAMES[method], *SHOWN[shown], SCORES[score], seed, value])

    runs = {}
    for method, seed in itertools.product(NAMES, range(values.shape[3])):
        runs["digits", method, seed] = Run(f"{method}-{seed}")
    return SuiteResults("simulated", pd.DataFrame(rows, columns=[*CELL, "seed", "value"]), runs, {})


def ends(
    seeds: int, spreads: float, margins: Margins, worse: float = 0.0
) -> tuple[float, float, float]:
    """Shares of SUITES that end regressed, inconclusive, and with the clean NLL of a regressed."""
    random = np.random.default_rng(seeds)
    regressed, inconclusive, named = 0, 0, 0
    for _ in range(SUITES):
        outcome = judge(*suite(random, seeds, spreads, worse), margins)
        regressed += outcome.verdict == "regressed"
        inconclusive += outcome.verdict == "inconclusive"
        for cell in outcome.cells:
            if (cell.method, cell.metric, cell.condition) == ("a", "nll", "clean"):
                named += cell.verdict == "regressed"
    return regressed / SUITES, inconclusive / SUITES, named / SUITES


def unchanged() -> None:
    """Print the false alarms of suites in which nothing changed."""
    print("Nothing changed:\n")
    rows = []
    for spreads, seeds in itertools.product((1.0, 4.0), SEEDS):
        bare, kept = ends(seeds, spreads, NONE), ends(seeds, spreads, Margins())
        rows.append((*setting(seeds, spreads), *bare[:2], *kept[:2]))
    bare_heads = ("regressed, no margin", "inconclusive")
    table(["seeds", "spreads", *bare_heads, "regressed, margins", "inconclusive, margins"], rows)


def worsened() -> None:
    """Print how often a score that got worse is named."""
    print("\nThe clean NLL of one method got worse by that many standard deviations ", end="")
    print("of its paired difference:\n")
    rows = []
    for spreads, seeds in itertools.product((1.0, 4.0), SEEDS):
        found = [ends(seeds, spreads, Margins(), worse)[2] for worse in WORSE]
        rows.append((*setting(seeds, spreads), *found))
    table(["seeds", "spreads", *NAMED], rows)


def other_ways() -> None:
    """Print both with other variance estimates."""
    print("\nBy other variance estimates, 5 seeds, spreads 1 to 4:\n")
    rows = []
    for way in WAYS:
        with known_by(way):
            found = [ends(5, 4.0, Margins(), worse)[2] for worse in WORSE]
            rows.append((way, ends(5, 4.0, NONE)[0], *found))
    table(["spread", "regressed, no margin", *NAMED], rows)


def setting(seeds: int, spreads: float) -> tuple[int, str]:
    """Cells of a table for a setting."""
    return seeds, "equal" if spreads == 1 else f"1 to {spreads:g}"


def simulate() -> None:
    """Print the tables of docs/statistics.md on the gate."""
    error = math.sqrt(0.05 * 0.95 / SUITES)
    print(f"{SUITES:,} suites of 80 cells each; ", end="")
    print(f"the standard error of a share of 5 % is {error:.1%}\n")
    unchanged()
    worsened()
    other_ways()
    print(f"\nFewer than {rule.FEWEST} seeds never fail a build: they end inconclusive.")


if __name__ == "__main__":
    simulate()
