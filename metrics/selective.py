"""How errors fall when the least sure predictions are withheld."""

from __future__ import annotations

from functools import partial

import numpy as np

from bench_uq.api import Metric, Predictions
from bench_uq.metrics import _per_example as per_example
from bench_uq.metrics._per_example import confidence, correct, once

#: Error rates in percent up to which predictions are accepted, and shares in percent that are kept.
RISKS, KEPT = (1, 5), (80, 50)


@once
def accepted_errors(predictions: Predictions) -> np.ndarray:
    """Return the expected number of errors among the n examples of highest confidence for n = 1..N, (N,).

    Examples of equal confidence are taken in random order, in expectation: each counts the mean error of them all.
    """
    errors, sizes = _errors_by_confidence(predictions)
    return np.cumsum(np.repeat(errors / sizes, sizes))


@once
def _accepted_errors_by_entropy(predictions: Predictions) -> np.ndarray:
    """Return the same of the n examples of lowest predictive entropy."""
    errors, sizes = _tied_errors(predictions, per_example.entropy(predictions))
    return np.cumsum(np.repeat(errors / sizes, sizes))


@once
def _errors_by_confidence(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Return errors and number of the examples of each different confidence, the surest first."""
    return _tied_errors(predictions, -confidence(predictions))


def _tied_errors(predictions: Predictions, doubt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return errors and number of the examples of each different doubt, the surest first."""
    order = np.argsort(doubt)
    doubt, wrong = doubt[order], 1 - correct(predictions)[order]
    starts = np.flatnonzero(np.concatenate([[True], doubt[1:] != doubt[:-1]]))
    return np.add.reduceat(wrong, starts), np.diff(np.append(starts, len(doubt)))


def aurc(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Return the area under the risk-coverage curve (Geifman & El-Yaniv 2017)."""
    errors = accepted_errors(predictions)
    return float((errors / np.arange(1, len(errors) + 1)).mean())


def augrc(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Return the area under the generalized risk-coverage curve (Traub et al. 2024, section 3)."""
    errors = accepted_errors(predictions)
    return float((errors.sum() - errors[-1] / 2) / len(errors) ** 2)


def coverage_at_risk(
    percent: int, predictions: Predictions, _clean: Predictions | None = None
) -> float:
    """Return the largest share that a threshold of confidence accepts with at most that error rate, 0 if none does.

    Unlike SGR (Geifman & El-Yaniv 2017, algorithm 1) it bounds the error rate of these examples alone.
    """
    each, sizes = _errors_by_confidence(predictions)
    errors, accepted = np.cumsum(each), np.cumsum(sizes)
    if np.isnan(errors[-1]):
        return float("nan")
    # In whole numbers: 0.01 * 700 is not 7.
    return float(accepted[100 * errors <= percent * accepted].max(initial=0) / accepted[-1])


def accuracy_kept(
    percent: int, predictions: Predictions, _clean: Predictions | None = None
) -> float:
    """Return the accuracy of that share of the examples, those of the lowest predictive entropy.

    A share that is no whole number of examples takes the last one in part.
    """
    errors = np.concatenate([[0.0], _accepted_errors_by_entropy(predictions)])
    if np.isnan(errors[-1]):  # even where what is no number would be refused
        return float("nan")
    kept = percent * (len(errors) - 1) / 100
    return float(1 - np.interp(kept, np.arange(len(errors)), errors) / kept)


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
    *(
        Metric(
            id=f"coverage_at_risk_{percent}",
            title=f"coverage at an error rate of {percent} %",
            compute=partial(coverage_at_risk, percent),
            direction="higher",
            formula=f"max over t of |A_t|/N, A_t = all n of max_k p(k|x_n) >= t, at most {percent} % of them errors; "
            "0 if every A_t has more",
            reference="Geifman & El-Yaniv 2017, arXiv:1705.08500, of these examples alone: without the bound of SGR",
            needs=("probs", "targets"),
        )
        for percent in RISKS
    ),
    *(
        Metric(
            id=f"accuracy_kept_{percent}",
            title=f"accuracy of the surest {percent} %",
            compute=partial(accuracy_kept, percent),
            direction="higher",
            formula=f"accuracy of the {percent} % of lowest predictive entropy, the other {100 - percent} % refused; "
            "ties in expectation",
            reference="selective prediction of El-Yaniv & Wiener 2010, JMLR 11; Geifman & El-Yaniv 2017, "
            "arXiv:1705.08500",
            needs=("probs", "targets"),
        )
        for percent in KEPT
    ),
)
