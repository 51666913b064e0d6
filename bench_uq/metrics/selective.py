"""How errors fall when the least confident predictions are withheld."""

from __future__ import annotations

import numpy as np

from bench_uq.contracts import Predictions
from bench_uq.metrics.metric import Metric
from bench_uq.metrics.per_example import confidence, correct


def accepted_errors(predictions: Predictions) -> np.ndarray:
    """Return the expected number of errors among the n most confident examples for n = 1..N, (N,).

    Examples of equal confidence are taken in random order, in expectation: each counts the mean error of them all.
    """
    _, group, sizes = np.unique(-confidence(predictions), return_inverse=True, return_counts=True)
    errors = np.bincount(group, weights=1 - correct(predictions))
    return np.cumsum(np.repeat(errors / sizes, sizes))


def aurc(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Return the area under the risk-coverage curve (Geifman & El-Yaniv 2017)."""
    errors = accepted_errors(predictions)
    return float((errors / np.arange(1, len(errors) + 1)).mean())


def augrc(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Return the area under the generalized risk-coverage curve (Traub et al. 2024, section 3)."""
    errors = accepted_errors(predictions)
    return float((errors.sum() - errors[-1] / 2) / len(errors) ** 2)


METRICS = (
    Metric(
        id="aurc",
        title="area under the risk-coverage curve",
        compute=aurc,
        direction="lower",
        formula="mean over n of the error rate of the n examples of highest max_k p(k|x); ties in expectation",
        reference="Geifman & El-Yaniv 2017, arXiv:1705.08500",
        needs=("probs", "targets"),
    ),
    Metric(
        id="augrc",
        title="area under the generalized risk-coverage curve",
        compute=augrc,
        direction="lower",
        formula="integral over coverage of P(error and accepted), accepting by max_k p(k|x), in [0, 1/2]",
        reference="Traub et al. 2024, arXiv:2407.01032",
        needs=("probs", "targets"),
    ),
)
