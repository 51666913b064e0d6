"""Predictions under one condition, as they are scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench_uq.api.task import Predictions

#: Name of data as they are.
CLEAN = "clean"


@dataclass(frozen=True)
class Shown:
    """Predictions of a model that was shown a condition at a level.

    ``draws`` is the number of draws that each prediction averages, ``full`` the name of the
    condition with every option.
    """

    condition: str
    kind: Literal["clean", "condition", "unseen"]
    level: float | None
    predictions: Predictions
    draws: int
    full: str

    @property
    def title(self) -> str:
        """Name for people: ``fgsm 0.1``."""
        return self.condition if self.level is None else f"{self.condition} {self.level:g}"
