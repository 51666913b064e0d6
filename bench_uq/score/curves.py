"""Curves of a run for figures: only points that a figure can show, with six significant digits."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from bench_uq.api.task import Predictions
from bench_uq.metrics import _per_example as per_example
from bench_uq.metrics._netcal import equal_width_bins
from bench_uq.metrics.calibration import BINS
from bench_uq.metrics.selective import accepted_errors
from bench_uq.store import POINTS, TRAINING, RunFolder
from bench_uq.store.derived import EXACT

#: A name, x and y.
Curve = tuple[str, np.ndarray, np.ndarray]

#: Examples that bands are drawn through, evenly spaced among more.
PLACES = 500
#: Epochs of a training curve, evenly spaced among more; thousands look the same.
TRAINING_POINTS = 200


def curves(predictions: Predictions, *, clean: bool = True, strongest: bool = True) -> list[Curve]:
    """Curves that figures show of a condition at a level, as far as their arrays are there.

    Rejection, reliability and histograms of entropy are shown at every level, so that a figure of
    one level may be of any; the finer curves of entropy and confidence without levels and at the
    strongest one, regression on clean data only.
    """
    if "probs" not in predictions:
        return bands(predictions) if clean else []

    found = [entropy_histogram(predictions)]
    if strongest:
        found.append(entropy_ecdf(predictions))
    if "targets" in predictions:
        found.append(risk_coverage(predictions))
        if strongest:
            found.append(accuracy_confidence(predictions))
        found += reliability(predictions)
    return found


def entropy_histogram(predictions: Predictions) -> Curve:
    """Share of examples in each of 40 bins of predictive entropy between 0 and log C."""
    # NumPy drops values out of the range: one that rounding puts beyond log C would be lost.
    entropy, highest = _bounded_entropy(predictions)
    counts, edges = np.histogram(entropy, bins=40, range=(0, highest))
    return "entropy_histogram", (edges[:-1] + edges[1:]) / 2, counts / len(entropy)


def entropy_ecdf(predictions: Predictions) -> Curve:
    """Share of examples with a predictive entropy of at most x nats, at 101 x from 0 to log C."""
    entropy, highest = _bounded_entropy(predictions)
    grid = np.linspace(0, highest, 101)
    below = np.searchsorted(np.sort(entropy), grid, side="right")
    return "entropy_ecdf", grid, below / len(entropy)


def reliability(predictions: Predictions) -> list[Curve]:
    """Accuracy and mean confidence of the confidence bins with examples, and all bins' shares."""
    confidence = per_example.confidence(predictions)
    bins = equal_width_bins(confidence, BINS)
    counts = np.bincount(bins, minlength=BINS)
    centres = (np.arange(BINS) + 0.5) / BINS
    filled = counts > 0

    def means(values: np.ndarray) -> np.ndarray:
        return np.bincount(bins, weights=values, minlength=BINS)[filled] / counts[filled]

    return [
        ("reliability_accuracy", centres[filled], means(per_example.correct(predictions))),
        ("reliability_confidence", centres[filled], means(confidence)),
        ("reliability_share", centres, counts / len(confidence)),
    ]


def risk_coverage(predictions: Predictions) -> Curve:
    """Error rate among the most confident share x of the examples, x = 0.01..1."""
    errors = np.concatenate([[0.0], accepted_errors(predictions)])
    coverage = np.arange(1, 101) / 100
    accepted = coverage * (len(errors) - 1)
    # A share that is no whole number of examples takes the last one in part.
    return "risk_coverage", coverage, np.interp(accepted, np.arange(len(errors)), errors) / accepted


def accuracy_confidence(predictions: Predictions) -> Curve:
    """Accuracy of the examples with a confidence of at least x = 0, 0.02..0.98; NaN without any.

    Lakshminarayanan et al. 2017, section 3.5.
    """
    confidence, correct = per_example.confidence(predictions), per_example.correct(predictions)
    least = np.arange(50) / 50
    order = np.argsort(-confidence)
    right = np.cumsum(correct[order])

    sure = np.searchsorted(-confidence[order], -least, side="right")
    # Where no example is so sure, a divisor of 1 avoids the warning of 0 / 0.
    counted = np.maximum(sure, 1)
    return "accuracy_confidence", least, np.where(sure > 0, right[counted - 1] / counted, np.nan)


def bands(predictions: Predictions) -> list[Curve]:
    """Predictive mean, standard deviation and target over a single input feature x.

    The first of several examples at one x counts.
    """
    if not {"inputs", "mean", "variance"} <= predictions.arrays.keys():
        return []
    if predictions["inputs"].shape != (len(predictions), 1):
        return []

    inputs = predictions["inputs"][:, 0].astype(np.float64)
    # Rounded first: two inputs must not become one x.
    x, first = np.unique(rounded(inputs), return_index=True)
    chosen = np.linspace(0, len(x) - 1, min(len(x), PLACES)).round().astype(int)
    x, first = x[chosen], first[chosen]

    deviation = np.sqrt(predictions["variance"][first].astype(np.float64))
    found = [("regression_mean", x, predictions["mean"][first]), ("regression_std", x, deviation)]
    if "targets" in predictions:
        found.append(("regression_target", x, predictions["targets"][first]))
    return found


def of_training(run: RunFolder) -> list[Curve]:
    """Loss and KL / N by epoch, the means over members, and the points that a run trained on."""
    found = list[Curve]()
    if run.holds(TRAINING):
        table = pd.read_csv(run.path / TRAINING, **EXACT)
        means = table.groupby("epoch")[["loss", "kl"]].mean()
        places = np.linspace(0, len(means) - 1, min(len(means), TRAINING_POINTS))
        chosen = means.iloc[np.unique(places.round().astype(int))]
        for name in ("loss", "kl"):
            found.append((f"training_{name}", chosen.index.to_numpy(), chosen[name].to_numpy()))

    if run.holds(POINTS):
        points = pd.read_csv(run.path / POINTS, **EXACT)
        targets = points["target"].groupby(rounded(points["input"])).mean()
        found.append(("regression_target", targets.index.to_numpy(), targets.to_numpy()))
    return found


def rows(condition: str, level: float | None, found: Iterable[Curve]) -> list[list[Any]]:
    """Rows of curves: condition, level, curve, x and y, which is None where it is not finite."""
    lines = []
    for name, xs, ys in found:
        for x, y in zip(rounded(xs).tolist(), rounded(ys).tolist(), strict=True):
            lines.append([condition, level, name, x, y if math.isfinite(y) else None])
    return lines


def rounded(values: Iterable[float]) -> np.ndarray:
    """Round to six significant digits: more than a figure can show, unless all lie far from 0."""
    numbers = np.asarray(list(values), np.float64)
    finite, digits = numbers[np.isfinite(numbers)], 6
    largest = np.abs(finite).max(initial=0)
    spread = finite.max(initial=-math.inf) - finite.min(initial=math.inf)
    # A spread of less than a millionth is the noise of float32.
    if 1e-6 * largest < spread < 1e-3 * largest:
        digits += math.ceil(math.log10(largest / spread)) - 3

    # NumPy rounds to decimal places only.
    return np.array([float(f"{value:.{digits}g}") for value in numbers])


def _bounded_entropy(predictions: Predictions) -> tuple[np.ndarray, float]:
    """Predictive entropies and their upper bound log C, which rounding must not exceed."""
    highest = float(np.log(predictions["probs"].shape[1]))
    return np.minimum(per_example.entropy(predictions), highest), highest
