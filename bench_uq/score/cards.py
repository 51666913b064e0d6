"""Cards of metrics as tables and figures ask for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bench_uq.api.metric import Metric
from bench_uq.api.task import Predictions
from bench_uq.plan.plugins import Plugins


@dataclass(frozen=True, eq=False)
class Cards:
    """Cards by id, in the order of lists; by default those of the metrics that are installed."""

    metrics: Mapping[str, Metric] = field(default_factory=lambda: Plugins().metrics())

    def __contains__(self, id: str) -> bool:
        return id in self.metrics

    def __iter__(self) -> Iterator[str]:
        return iter(self.metrics)

    def __getitem__(self, id: str) -> Metric:
        """Card of a metric, a neutral one for an unknown metric."""
        # Results may come from an installation with other metrics.
        return self.metrics.get(id) or Metric(
            id=id,
            title=id,
            compute=_unknown,
            direction="none",
            formula="",
            reference="",
            needs=(),
        )

    def shown(self, place: str) -> list[str]:
        """Metrics that a table or figure shows, in its order; ``place`` is a field of Places."""
        positions = {id: getattr(card.shown, place) for id, card in self.metrics.items()}
        there = [id for id in positions if positions[id] is not None]
        return sorted(there, key=lambda id: positions[id])

    def beside(self, id: str) -> list[str]:
        """Metrics that are needed to read this one: its companion, and the one it rests on."""
        card = self[id]
        return list(filter(None, (card.companion, card.rests_on)))


def _unknown(_predictions: Predictions, _clean: Predictions | None) -> float:
    """Value of a metric without a function."""
    raise NotImplementedError("a metric without a card cannot be computed")
