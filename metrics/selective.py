"""How errors fall if the least sure predictions are withheld."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from bench_uq.api import Axis, Metric, Places, Predictions
from bench_uq.metrics import _per_example as per_example
from bench_uq.metrics._per_example import correct, once


@once
def accepted_errors(predictions: Predictions) -> np.ndarray:
    """Expected number of errors among the n examples of highest confidence for n = 1..N, (N,)."""
    # Examples of equal confidence are taken in random order, in expectation: each counts the mean
    # error of them all. Sorted as they come, they would depend on the order of the data.
    errors, sizes = _errors_by_confidence(predictions)
    return np.cumsum(np.repeat(errors / sizes, sizes))


@once
def accepted_errors_by_entropy(predictions: Predictions) -> np.ndarray:
    """The same for the n examples of lowest predictive entropy."""
    errors, sizes = _tied_errors(predictions, per_example.entropy(predictions))
    return np.cumsum(np.repeat(errors / sizes, sizes))


@once
def _errors_by_confidence(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Errors and number of the examples per distinct doubt of the top class, the surest first."""
    return _tied_errors(predictions, per_example.doubt(predictions))


def _tied_errors(predictions: Predictions, doubt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Errors and number of the examples per distinct doubt, the surest first."""
    order = np.argsort(doubt)
    doubt, wrong = doubt[order], 1 - correct(predictions)[order]
    starts = np.flatnonzero(np.concatenate([[True], doubt[1:] != doubt[:-1]]))
    return np.add.reduceat(wrong, starts), np.diff(np.append(starts, len(doubt)))


def aurc(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Area under the risk-coverage curve (Geifman & El-Yaniv 2017)."""
    errors = accepted_errors(predictions)
    return float((errors / np.arange(1, len(errors) + 1)).mean())


def augrc(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Area under the generalized risk-coverage curve (Traub et al. 2024, section 3)."""
    # By the trapezoidal rule: no error at coverage 0, and the last point counts half.
    errors = accepted_errors(predictions)
    return float((errors.sum() - errors[-1] / 2) / len(errors) ** 2)


def coverage_at_risk(
    percent: int, predictions: Predictions, _clean: Predictions | None = None
) -> float:
    """Largest share that a threshold of confidence accepts with at most that error rate, or 0."""
    # Unlike SGR (Geifman & El-Yaniv 2017, algorithm 1) this bounds the error rate of these examples
    # alone. A threshold accepts all examples of equal confidence, or none.
    each, sizes = _errors_by_confidence(predictions)
    errors, accepted = np.cumsum(each), np.cumsum(sizes)
    if np.isnan(errors[-1]):
        return float("nan")

    # In whole numbers, because 0.01 * 700 is not 7.
    allowed = accepted[100 * errors <= percent * accepted]
    return float(allowed.max(initial=0) / accepted[-1])


def accuracy_kept(
    percent: int,
    predictions: Predictions,
    _clean: Predictions | None = None,
    *,
    accepted: Callable[[Predictions], np.ndarray] = accepted_errors_by_entropy,
) -> float:
    """Accuracy of that share of the examples, by default those of the lowest predictive entropy."""
    errors = np.concatenate([[0.0], accepted(predictions)])
    # NaN counts even among the examples that would be rejected.
    if np.isnan(errors[-1]):
        return float("nan")

    # If the share is no whole number of examples, the last one counts in part.
    kept = percent * (len(errors) - 1) / 100
    return float(1 - np.interp(kept, np.arange(len(errors)), errors) / kept)


def _coverage(percent: int) -> Metric:
    """Card of the coverage at an error rate in percent."""
    formula = (
        "max over t of |A_t|/N, A_t = all n of max_k p(k|x_n) >= t, "
        f"at most {percent} % of them errors; 0 if every A_t has more"
    )

    return Metric(
        id=f"coverage_at_risk_{percent}",
        title=f"coverage at an error rate of {percent} %",
        compute=partial(coverage_at_risk, percent),
        direction="higher",
        formula=formula,
        reference="Geifman & El-Yaniv 2017, arXiv:1705.08500; without the bound of SGR",
        needs=("probs", "targets"),
        bounds=(0, 1),
        short=f"Coverage at\n{percent} % errors",
        order=6,
    )


def _kept(percent: int, **card: Any) -> Metric:
    """Card of the accuracy of the percentage of lowest entropy."""
    by_confidence = f"accuracy_kept_{percent}_confidence"
    formula = (
        f"accuracy of the {percent} % of lowest predictive entropy, the other {100 - percent} % "
        f"rejected; ties in expectation; by confidence, as in aurc: {by_confidence}"
    )

    return Metric(
        id=f"accuracy_kept_{percent}",
        title=f"accuracy of the surest {percent} %, by predictive entropy",
        compute=partial(accuracy_kept, percent),
        direction="higher",
        formula=formula,
        reference="selective prediction of El-Yaniv & Wiener 2010, JMLR 11; "
        "Geifman & El-Yaniv 2017, arXiv:1705.08500",
        needs=("probs", "targets"),
        bounds=(0, 1),
        short=f"Accuracy\n({percent} % kept)",
        order=6,
        **card,
    )


def _kept_by_confidence(percent: int) -> Metric:
    """Card of the accuracy of the percentage of highest confidence."""
    return replace(
        _kept(percent),
        id=f"accuracy_kept_{percent}_confidence",
        title=f"accuracy of the surest {percent} %, by confidence",
        compute=partial(accuracy_kept, percent, accepted=accepted_errors),
        formula=f"accuracy of the {percent} % of highest max_k p(k|x), the other "
        f"{100 - percent} % rejected; ties in expectation",
        short=f"Accuracy ({percent} % kept\nby confidence)",
    )


METRICS = (
    Metric(
        id="aurc",
        title="area under the risk-coverage curve",
        compute=aurc,
        direction="lower",
        formula="mean over n of the error rate of the n examples of highest max_k p(k|x); "
        "ties in expectation; the mean over all N coverages n/N, where trapezoids would weigh both "
        "ends by half",
        reference="Geifman & El-Yaniv 2017, arXiv:1705.08500; the estimator of Geifman et al. "
        "2019, arXiv:1805.08206",
        needs=("probs", "targets"),
        bounds=(0, 1),
        question="rejection",
        short="AURC",
        order=6,
        shown=Places(overview=4),
    ),
    Metric(
        id="augrc",
        title="area under the generalized risk-coverage curve",
        compute=augrc,
        direction="lower",
        formula="integral over coverage of P(error and accepted), accepting by max_k p(k|x); "
        "trapezoids from no error at coverage 0",
        reference="Traub et al. 2024, arXiv:2407.01032",
        needs=("probs", "targets"),
        bounds=(0, 0.5),
        order=6,
    ),
    _coverage(1),
    _coverage(5),
    _kept(
        80,
        note="80 % kept: after rejecting the 20 % of examples with the highest predictive entropy.",
        shown=Places(levels=9, stress=2, kinds=2),
        axis=Axis("accuracy (80 % kept)", chance="1/C"),
    ),
    _kept(50),
    _kept_by_confidence(80),
    _kept_by_confidence(50),
)
