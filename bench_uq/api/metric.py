"""What a metric is, and how its definition is printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from bench_uq.api.task import Predictions

Direction = Literal["lower", "higher", "none"]

_DIRECTIONS = {
    "lower": "lower is better",
    "higher": "higher is better",
    "none": "neither way is better",
}


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number of a condition, with its definition; NaN among its arrays gives NaN.

    ``compute`` takes the predictions and the clean ones, None where there are none; only metrics that are
    ``against_clean`` look at the latter, and they need the same arrays of both.
    """

    id: str
    title: str
    compute: Callable[[Predictions, Predictions | None], float]
    direction: Direction
    formula: str
    reference: str
    needs: tuple[str, ...]  # names of arrays of Predictions
    against_clean: bool = False
    bins: str | None = None
    positive: str | None = None  # which examples a detection metric calls positive

    def applies(self, predictions: Predictions, clean: Predictions | None) -> bool:
        """Tell whether every array that the metric needs is there."""
        sources = [predictions]
        if self.against_clean:
            if clean is None:
                return False
            sources.append(clean)
        return all(name in source for source in sources for name in self.needs)


def card(metric: Metric) -> str:
    """Return the definition of a metric as a few aligned lines of text."""
    lines = {
        "formula": metric.formula,
        "bins": metric.bins,
        "positive": metric.positive,
        "direction": _DIRECTIONS[metric.direction],
        "needs": ", ".join(metric.needs)
        + (" (and of the clean data)" if metric.against_clean else ""),
        "reference": metric.reference,
    }
    return "\n".join(
        [
            f"{metric.id}: {metric.title}",
            *(f"  {label:<9}  {text}" for label, text in lines.items() if text),
        ]
    )
