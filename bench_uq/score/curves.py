"""Curves of a condition, for figures: histograms, ECDF of the entropy, reliability and risk-coverage; bands."""

from __future__ import annotations

import numpy as np

from bench_uq.api.task import Predictions
from bench_uq.metrics import _per_example as per_example
from bench_uq.metrics._netcal import equal_width_bins
from bench_uq.metrics.calibration import BINS
from bench_uq.metrics.selective import accepted_errors

#: A name, x and y.
Curve = tuple[str, np.ndarray, np.ndarray]

#: Examples that bands are drawn through, evenly spaced among more.
PLACES = 500


def curves(predictions: Predictions, clean: Predictions | None = None) -> list[Curve]:
    """Return the curves whose arrays are there; none of them compares with the clean predictions so far."""
    del clean
    if "probs" not in predictions:
        return bands(predictions)
    found = [entropy_histogram(predictions), entropy_ecdf(predictions)]
    if "targets" in predictions:
        found += [
            *reliability(predictions),
            risk_coverage(predictions),
            accuracy_confidence(predictions),
        ]
    return found


def entropy_histogram(predictions: Predictions) -> Curve:
    """Return the share of examples in each of 40 bins of predictive entropy between 0 and log C, at its centre."""
    entropy, highest = _bounded_entropy(predictions)
    counts, edges = np.histogram(entropy, bins=40, range=(0, highest))
    return "entropy_histogram", (edges[:-1] + edges[1:]) / 2, counts / len(entropy)


def entropy_ecdf(predictions: Predictions) -> Curve:
    """Return the share of examples of at most x nats of predictive entropy, at 101 points between 0 and log C."""
    entropy, highest = _bounded_entropy(predictions)
    grid = np.linspace(0, highest, 101)
    return (
        "entropy_ecdf",
        grid,
        np.searchsorted(np.sort(entropy), grid, side="right") / len(entropy),
    )


def reliability(predictions: Predictions) -> list[Curve]:
    """Return accuracy and mean confidence of the bins of confidence that hold examples, and the share of all bins."""
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
    """Return the error rate among the most confident share x of the examples, x = 0.01..1."""
    errors = np.concatenate([[0.0], accepted_errors(predictions)])
    coverage = np.arange(1, 101) / 100
    accepted = coverage * (len(errors) - 1)
    # A share that is no whole number of examples takes the last one in part.
    return "risk_coverage", coverage, np.interp(accepted, np.arange(len(errors)), errors) / accepted


def accuracy_confidence(predictions: Predictions) -> Curve:
    """Return the accuracy of the examples whose confidence is at least x = 0, 0.02..0.98; NaN where there are none.

    Lakshminarayanan et al. 2017, section 3.5.
    """
    confidence, correct = per_example.confidence(predictions), per_example.correct(predictions)
    least = np.arange(50) / 50
    order = np.argsort(-confidence)
    right = np.cumsum(correct[order])
    sure = np.searchsorted(-confidence[order], -least, side="right")
    counted = np.maximum(sure, 1)
    return "accuracy_confidence", least, np.where(sure > 0, right[counted - 1] / counted, np.nan)


def bands(predictions: Predictions) -> list[Curve]:
    """Return predictive mean, standard deviations and target by the input x, where it is a single feature.

    Total variance = mean variance of the draws + variance of their means, whose root is the epistemic standard
    deviation. Of examples at one place the first counts.
    """
    if not {"inputs", "mean", "variance", "draw_variance"} <= predictions.arrays.keys():
        return []
    if predictions["inputs"].shape != (len(predictions), 1):
        return []
    x, first = np.unique(predictions["inputs"][:, 0].astype(np.float64), return_index=True)
    chosen = np.linspace(0, len(x) - 1, min(len(x), PLACES)).round().astype(int)
    x, first = x[chosen], first[chosen]
    total, aleatoric = (
        predictions[name][first].astype(np.float64) for name in ("variance", "draw_variance")
    )
    epistemic = total - aleatoric
    epistemic[epistemic <= 2 * np.finfo(np.float32).eps * total] = (
        0.0  # what float32 cannot tell from zero
    )
    found = [
        ("regression_mean", x, predictions["mean"][first]),
        ("regression_std", x, np.sqrt(total)),
        ("regression_epistemic_std", x, np.sqrt(epistemic)),
    ]
    return (
        [*found, ("regression_target", x, predictions["targets"][first])]
        if "targets" in predictions
        else found
    )


def _bounded_entropy(predictions: Predictions) -> tuple[np.ndarray, float]:
    """Return the predictive entropies and their upper bound log C, which rounding must not exceed."""
    highest = float(np.log(predictions["probs"].shape[1]))
    return np.minimum(per_example.entropy(predictions), highest), highest
