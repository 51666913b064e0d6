"""Runs that predict worse than a guess that sees no input."""

from __future__ import annotations

import math
from collections import Counter

from bench_uq.score.analysis import Analysis
from bench_uq.score.run_scores import spread_of

#: Scores of which a guess has a value, and what it means that a method's is above it.
MEANINGS = {
    "nll": (
        "networks that are too sure where they are wrong, or whose training failed (the training "
        "curve tells)"
    ),
    "rmse": "their training, or what they did with the trained network, failed",
}
#: NLL of a normal distribution of standard deviation 1 on its own values, in nats.
_NORMAL = 0.5 * math.log(2 * math.pi * math.e)


def worse_than_a_guess(analysis: Analysis, metric: str) -> dict[str, tuple[int, int]]:
    """Seeds of each method whose clean score is above that of the best guess, and seeds in all.

    ``metric`` is one of ``MEANINGS``. The guess is the same distribution for all inputs: every
    class alike, which has no RMSE, or the normal distribution of the mean and standard deviation of
    the test targets. Methods without such a seed, and data of which nothing is known, are left out.
    """
    results = analysis.results
    runs = results.runs.set_index(["method", "seed"])
    scores = results.scores
    clean = scores[(scores["metric"] == metric) & (scores["condition"] == "clean")]

    seeds, worse = Counter[str](), Counter[str]()
    for method, seed, value in clean[["method", "seed", "value"]].itertuples(
        index=False, name=None
    ):
        spread = spread_of(str(runs["labels"].get((method, seed), "")))
        guess = spread if metric == "rmse" else _nll(spread, analysis.highest_entropy)
        if guess is not None:
            seeds[method] += 1
            worse[method] += value > guess
    return {name: (worse[name], seeds[name]) for name in analysis.methods if worse[name]}


def _nll(spread: float | None, highest_entropy: float | None) -> float | None:
    """NLL of the guess, in nats; None where nothing is known of the targets."""
    if spread is not None:
        return math.log(spread) + _NORMAL
    return highest_entropy
