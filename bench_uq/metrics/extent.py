"""How many examples a score rests on."""

from __future__ import annotations

from bench_uq.contracts import Predictions
from bench_uq.metrics.metric import Metric


def examples(predictions: Predictions, _clean: Predictions | None = None) -> float:
    """Return the number of examples that were shown."""
    return float(len(predictions))


METRICS = (
    Metric(
        id="examples",
        title="number of examples",
        compute=examples,
        direction="none",
        formula="N; attacks may be limited to the first so many of the clean examples (setting attack_images)",
        reference="none",
        needs=(),
    ),
)
