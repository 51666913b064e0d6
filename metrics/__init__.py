"""Scores of stored predictions, each with a card that says what it is; imports neither torch nor netcal."""

from __future__ import annotations

from bench_uq.api import Metric, Predictions, card, unknown
from bench_uq.metrics import (
    calibration,
    detection,
    extent,
    misclassification,
    proper_scores,
    regression,
    selective,
    uncertainty,
)

__all__ = ["METRICS", "Metric", "applicable", "card", "find"]

#: All metrics, in the order in which tables and lists show them.
METRICS: tuple[Metric, ...] = (
    *proper_scores.METRICS,
    *calibration.METRICS,
    *uncertainty.METRICS,
    *detection.METRICS,
    *misclassification.METRICS,
    *selective.METRICS,
    *regression.METRICS,
    *extent.METRICS,
)


def find(id: str) -> Metric:
    """Return the metric of that id; an unknown one answers with the known ones."""
    by_id = {metric.id: metric for metric in METRICS}
    if id not in by_id:
        raise unknown("metric", id, by_id)
    return by_id[id]


def applicable(predictions: Predictions, clean: Predictions | None) -> list[Metric]:
    """Return the metrics whose arrays are all there; ``clean`` is None where there is nothing to compare with."""
    return [metric for metric in METRICS if metric.applies(predictions, clean)]
