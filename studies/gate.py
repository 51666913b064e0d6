"""The rule of bench-uq check on simulated suites.

``python -m studies.gate`` prints how often suites without a change raise an alarm, and how often a
score that got worse is named (docs/statistics.md).
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from bench_uq.check import rule
from bench_uq.check.margins import MARGINS, Margins
from bench_uq.check.results import CELL, Run, Side
from bench_uq.check.rule import check
from studies.claims import table
from studies.spreads import WAYS, known_by

SUITES = 500
SEEDS = (3, 5, 10)
#: Conditions of a simulated suite: clean and unseen data, two levels of an attack.
SHOWN = (("clean", math.nan), ("letters", math.nan), ("fgsm", 0.1), ("fgsm", 0.2))
SCORES = ("nll", "brier", "ece", "entropy")
#: Standard deviations of its paired difference by which a score got worse.
WORSE = (2, 3, 5)
#: Margins that everything is beyond.
NONE = Margins({"": dict.fromkeys(MARGINS, 1e-6)})
NAMES = ("a", "b", "c", "d", "e")

Sides = tuple[Side, Side]


def suite(random: np.random.Generator, seeds: int, spreads: float, worse: float = 0.0) -> Sides:
    """Return two results of a suite: 5 methods, 4 scores, 4 conditions, 80 cells.

    Standard deviations over seeds on the log scale lie between 0.05 and ``spreads`` times that, one a method and score.
    Conditions of one method share 80 % of their noise, methods 30 % of their seeds' noise. The clean NLL of the first
    method is worse by so many standard deviations of its paired difference.
    """
    shape = (2, len(NAMES), len(SCORES), len(SHOWN), seeds)
    common, own, each = (
        random.normal(size=size) for size in ((2, 1, 1, 1, seeds), (*shape[:3], 1, seeds), shape)
    )
    spread = 0.05 * spreads ** random.uniform(size=(1, len(NAMES), len(SCORES), 1, 1))
    noise = spread * (math.sqrt(0.3) * common + math.sqrt(0.5) * own + math.sqrt(0.2) * each)
    noise[1, 0, 0, 0] += worse * math.sqrt(2) * spread[0, 0, 0, 0, 0]
    return tuple(side(0.2 * np.exp(part)) for part in noise)  # type: ignore[return-value]


def side(values: np.ndarray) -> Side:
    """Return values (method, score, condition, seed) as one side of a comparison."""
    rows = [
        ["digits", method, *SHOWN[shown], SCORES[score], seed, values[place, score, shown, seed]]
        for place, method in enumerate(NAMES)
        for score in range(values.shape[1])
        for shown in range(values.shape[2])
        for seed in range(values.shape[3])
    ]
    runs = {
        ("digits", method, seed): Run(f"{method}-{seed}")
        for method in NAMES
        for seed in range(values.shape[3])
    }
    return Side("simulated", pd.DataFrame(rows, columns=[*CELL, "seed", "value"]), runs, {})


def ends(
    seeds: int, spreads: float, margins: Margins, worse: float = 0.0
) -> tuple[float, float, float]:
    """Return the shares of SUITES that end regressed, inconclusive, and with the clean NLL of method a regressed."""
    random, found = np.random.default_rng(seeds), np.zeros(3)
    for _ in range(SUITES):
        outcome = check(*suite(random, seeds, spreads, worse), margins)
        named = (
            cell
            for cell in outcome.cells
            if (cell.method, cell.metric, cell.condition) == ("a", "nll", "clean")
        )
        found += (
            outcome.verdict == "regressed",
            outcome.verdict == "inconclusive",
            next(named).verdict == "regressed",
        )
    return tuple((found / SUITES).tolist())  # type: ignore[return-value]


def simulate() -> None:
    """Print the tables of docs/statistics.md on the gate."""
    error = math.sqrt(0.05 * 0.95 / SUITES)
    print(
        f"{SUITES:,} suites of 80 cells each; the standard error of a share of 5 % is {error:.1%}\n"
    )
    settings = [(seeds, spreads) for spreads in (1.0, 4.0) for seeds in SEEDS]
    print("Nothing changed:\n")
    heads = [
        "seeds",
        "spreads",
        "regressed, no margin",
        "inconclusive",
        "regressed, margins",
        "inconclusive, margins",
    ]
    rows = [
        (*named(*setting), *ends(*setting, NONE)[:2], *ends(*setting, Margins())[:2])
        for setting in settings
    ]
    table(heads, rows)
    print(
        "\nThe clean NLL of one method got worse by so many standard deviations of its paired difference:\n"
    )
    rows = [
        (*named(*setting), *(ends(*setting, Margins(), worse)[2] for worse in WORSE))
        for setting in settings
    ]
    table(["seeds", "spreads", *(f"named at {worse} sd" for worse in WORSE)], rows)
    print("\nBy other ways to know spreads, 5 seeds, spreads 1 to 4:\n")
    rows = []
    for way in WAYS:
        with known_by(way):
            found = [ends(5, 4.0, Margins(), worse)[2] for worse in WORSE]
            rows.append((way, ends(5, 4.0, NONE)[0], *found))
    table(["spread", "regressed, no margin", *(f"named at {worse} sd" for worse in WORSE)], rows)
    print(f"\nFewer than {rule.FEWEST} seeds never fail a build: they end inconclusive.")


def named(seeds: int, spreads: float) -> tuple[int, str]:
    """Return a setting as tables have it."""
    return seeds, "equal" if spreads == 1 else f"1 to {spreads:g}"


if __name__ == "__main__":
    simulate()
