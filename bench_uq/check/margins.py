"""By how much a score may get worse before it counts, and below what it may never fall: defaults, and a TOML file."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_uq.api.errors import UsageError, unknown
from bench_uq.api.names import plain_name
from bench_uq.plan.suite import toml

#: Metric -> share by which the score, or for accuracy and AUROC the odds of an error, may grow; the NLL of real targets
#: in nats. What is not listed is not gated.
MARGINS: Mapping[str, float] = {
    "accuracy": 0.25,
    "nll": 0.1,
    "brier": 0.1,
    "ece": 0.25,
    "entropy": 0.1,
    "epistemic": 0.1,
    "auroc_entropy": 0.1,
    "auroc_epistemic": 0.1,
    "auroc_confidence": 0.1,
    "rmse": 0.1,
    "crps": 0.1,
}
#: Metrics whose cells are two-sided under every condition: more is neither better nor worse.
EITHER_WAY = ("entropy", "epistemic", "aleatoric")

Table = Mapping[str, Mapping[str, float]]  # condition -> metric -> number, "" for all conditions


@dataclass(frozen=True)
class Margins:
    """Margins by condition and metric, ``""`` for all conditions, and floors, which are of single conditions."""

    margins: Table = field(default_factory=lambda: {"": MARGINS})
    floors: Table = field(default_factory=dict)

    def margin(self, condition: str, metric: str) -> float | None:
        """Return the margin of a metric under a condition, by its name, else its plain name; None: it is not gated."""
        for name in (condition, plain_name(condition), ""):
            if metric in self.margins.get(name, {}):
                found = self.margins[name][metric]
                return None if math.isinf(found) else found
        return None

    def floor(self, condition: str, metric: str) -> float | None:
        """Return what the mean over seeds may not be worse than; None without a floor."""
        return next(
            (
                table[metric]
                for name in (condition, plain_name(condition))
                if metric in (table := self.floors.get(name, {}))
            ),
            None,
        )

    def conditions(self) -> set[str]:
        """Return the conditions that are named."""
        return {*self.margins, *self.floors} - {""}


def read_margins(path: Path | None) -> Margins:
    """Return the margins and floors of a file, laid over the defaults; a mistake is told with what is allowed."""
    if path is None:
        return Margins()
    if not os.path.lexists(path):
        raise UsageError(f"no file {path}")
    table = toml(path)
    for key in table:
        if key not in ("margins", "floors"):
            raise unknown(f"table in {path.name}", key, ("margins", "floors"))
    margins = _by_condition(path, "margins", table.get("margins", {}))
    floors = _by_condition(path, "floors", table.get("floors", {}))
    floors = {**floors, "clean": {**floors.pop("", {}), **floors.get("clean", {})}}
    return Margins({**margins, "": {**MARGINS, **margins.get("", {})}}, floors)


def _by_condition(path: Path, name: str, table: Any) -> dict[str, dict[str, float]]:
    """Return the numbers of a table and of the tables of conditions in it."""
    if not isinstance(table, Mapping):
        raise UsageError(f"{name} in {path.name} must be a table, not {table!r}")
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    tables = {"": plain, **{key: value for key, value in table.items() if key not in plain}}
    return {
        condition: {metric: _number(path, name, metric, value) for metric, value in part.items()}
        for condition, part in tables.items()
    }


def _number(path: Path, name: str, metric: str, value: Any) -> float:
    """Return a margin, at least 0 and infinite for ``false``, or a floor."""
    from bench_uq.metrics import METRICS

    known = {one.id: one.direction for one in METRICS}
    if metric not in known:
        raise unknown(f"metric in {path.name}", metric, known)
    if name == "margins" and value is False:
        return math.inf
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        allowed = (
            "a finite number of at least 0, or false" if name == "margins" else "a finite number"
        )
        raise UsageError(f"{name}.{metric} in {path.name} must be {allowed}, not {value!r}")
    if name == "margins" and value < 0:
        raise UsageError(f"margins.{metric} in {path.name} must be at least 0, not {value}")
    if name == "floors" and known[metric] == "none":
        better = [metric for metric, direction in known.items() if direction != "none"]
        raise UsageError(
            f"{metric} in {path.name} has no floor: neither way is better (known: {', '.join(better)})"
        )
    return float(value)


def check_conditions(margins: Margins, known: Iterable[str], path: Path | None) -> None:
    """Refuse a condition that the baseline does not have: its margins would be of nothing."""
    names = {name for condition in known for name in (condition, plain_name(condition))}
    for condition in sorted(margins.conditions() - {"clean"}):
        if condition not in names:
            raise unknown(f"condition in {path.name if path else 'the margins'}", condition, names)
