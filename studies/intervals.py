"""How often 95 % intervals of one model hold the score of as many new examples, and of all of them.

Confidences are uniform in [0.4, 1] and exceed the chance of a hit by a gap. ``python -m
studies.intervals`` prints the table of docs/statistics.md in about a minute: intervals by the
normal law with the bootstrap's spread (bench_uq/evaluate/bootstrap.py), and bias-corrected
percentiles (Efron 1981).
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.special import ndtr, ndtri

from bench_uq.evaluate.bootstrap import LEVEL, interval
from bench_uq.metrics._netcal import expected_error

SAMPLES, RESAMPLES, BINS = 200, 200, 15
SIZES, GAPS = (200, 500, 2000), (0.0, 0.05)
#: Examples that stand for all there are.
MANY = 2_000_000

Score = str
SCORES: tuple[Score, ...] = ("accuracy", "ece")


def drawn(random: np.random.Generator, size: int, gap: float) -> tuple[np.ndarray, np.ndarray]:
    """Confidences and hits of some examples, (N,) each."""
    confidence = random.uniform(0.4, 1, size)
    hits = random.random(size) < confidence - gap
    return confidence, hits.astype(np.float64)


def value(score: Score, confidence: np.ndarray, hits: np.ndarray) -> float:
    """A score of these examples."""
    if score == "accuracy":
        return float(hits.mean())
    return expected_error(confidence, hits, BINS)


def percentiles(found: float, replicates: np.ndarray) -> tuple[float, float]:
    """Bias-corrected percentile interval; NaN where the correction leaves the replicates."""
    below = float((replicates < found).mean() + (replicates == found).mean() / 2)
    least = 1 / (2 * len(replicates))
    bias, tail = ndtri(min(max(below, least), 1 - least)), ndtri((1 - LEVEL) / 2)
    if abs(bias) > abs(tail):
        return math.nan, math.nan
    low, high = np.quantile(replicates, [ndtr(2 * bias + tail), ndtr(2 * bias - tail)])
    return float(low), float(high)


def share(ends: list[tuple[float, float]], truth: float) -> float:
    """Share of intervals that hold a number; those that are none do not."""
    return sum(low <= truth <= high for low, high in ends) / len(ends)


def row(score: Score, size: int, gap: float) -> list[float]:
    """How often both kinds of intervals hold the median score at this size, and that of all."""
    random = np.random.default_rng(0)
    values, normal, corrected = [], list[tuple[float, float]](), list[tuple[float, float]]()
    for _ in range(SAMPLES):
        confidence, hits = drawn(random, size, gap)
        found = value(score, confidence, hits)
        replicates = []
        for _ in range(RESAMPLES):
            chosen = random.integers(size, size=size)
            replicates.append(value(score, confidence[chosen], hits[chosen]))

        values.append(found)
        normal.append(interval(found, np.array(replicates), (0, 1)))
        corrected.append(percentiles(found, np.array(replicates)))

    middle, whole = float(np.median(values)), value(score, *drawn(random, MANY, gap))
    asked = itertools.product((normal, corrected), (middle, whole))
    return [share(ends, truth) for ends, truth in asked]


def main() -> None:
    """Print the table."""
    print("| score | examples | gap | normal: as many | all | percentiles: as many | all |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for score, size, gap in itertools.product(SCORES, SIZES, GAPS):
        cells = " | ".join(f"{100 * held:.0f} %" for held in row(score, size, gap))
        print(f"| {score} | {size:,} | {gap} | {cells} |")


if __name__ == "__main__":
    main()
