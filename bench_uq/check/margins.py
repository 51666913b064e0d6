"""How much worse a score may get, and floors that it may never cross: defaults, and a TOML file."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_uq.api.errors import UsageError, unknown
from bench_uq.api.names import plain_name
from bench_uq.check.results import Run, RunKey, SuiteResults
from bench_uq.plan.suite import Suite, read_suite, shipped, toml
from bench_uq.score.cards import Cards
from bench_uq.score.likeness import changed
from bench_uq.train.settings import Settings

Table = Mapping[str, Mapping[str, float]]  # condition -> metric -> number, "" for all conditions


def gated(cards: Cards | None = None) -> dict[str, float]:
    """Default margins by metric, from the cards; other metrics are not gated.

    A margin is the share by which the score may grow, or the odds of an error for accuracy and
    AUROC. The NLL of real targets may grow by as many nats.
    """
    metrics = (cards or Cards()).metrics.values()
    return {metric.id: metric.margin for metric in metrics if metric.margin is not None}


@dataclass(frozen=True)
class Margins:
    """Margins and floors by condition and metric."""

    margins: Table = field(default_factory=lambda: {"": gated()})
    floors: Table = field(default_factory=dict)
    cards: Cards = field(default_factory=Cards, compare=False)

    def margin(self, condition: str, metric: str) -> float | None:
        """Margin of a metric under a condition, by its full or plain name; None: not gated."""
        for name in (condition, plain_name(condition), ""):
            if metric in self.margins.get(name, {}):
                # An infinite margin, written false, ends the search: the default must not apply.
                found = self.margins[name][metric]
                return None if math.isinf(found) else found
        return None

    def floor(self, condition: str, metric: str) -> float | None:
        """Value than which the mean over seeds may not be worse; None without a floor."""
        for name in (condition, plain_name(condition)):
            if metric in self.floors.get(name, {}):
                return self.floors[name][metric]
        return None

    def conditions(self) -> set[str]:
        """Conditions that are named."""
        return {*self.margins, *self.floors} - {""}


def read_margins(path: Path | None, cards: Cards | None = None) -> Margins:
    """Margins and floors of a file, laid over the defaults."""
    cards = cards or Cards()
    if path is None:
        return Margins({"": gated(cards)}, cards=cards)
    if not os.path.lexists(path):
        raise UsageError(f"no file {path}")

    table = toml(path)
    for key in table:
        if key not in ("margins", "floors"):
            raise unknown(f"table in {path.name}", key, ("margins", "floors"))
    margins = _by_condition(path, "margins", table.get("margins", {}), cards)
    floors = _by_condition(path, "floors", table.get("floors", {}), cards)

    # Floors that name no condition are of clean data, unlike margins, which are of all conditions.
    on_clean = {**floors.pop("", {}), **floors.get("clean", {})}
    everywhere = {**gated(cards), **margins.get("", {})}
    return Margins({**margins, "": everywhere}, {**floors, "clean": on_clean}, cards)


def check_conditions(margins: Margins, known: Iterable[str], path: Path | None) -> None:
    """Refuse a condition that the baseline does not have."""
    names = set[str]()
    for condition in known:
        names |= {condition, plain_name(condition)}
    for condition in sorted(margins.conditions() - {"clean"}):
        if condition not in names:
            raise unknown(f"condition in {path.name if path else 'the margins'}", condition, names)


def own_budget(suite: str, results: SuiteResults) -> set[RunKey]:
    """Runs made with the settings of a suite, a name or file; floors hold for those alone."""
    # Without the suite's file nobody knows what the floors were set for.
    if suite not in shipped() and not Path(suite).is_file():
        return set()
    chosen = read_suite(suite)
    return {key for key, run in results.runs.items() if _as_in(chosen, plain_name(key[1]), run)}


def _as_in(suite: Suite, method: str, run: Run) -> bool:
    """Whether a run was made with the settings of its suite, and its command asked for no other."""
    settings = suite.settings_of(method)
    if (run.settings.get("epochs"), run.settings.get("draws")) != (settings.epochs, settings.draws):
        return False

    # Older results keep no other settings; the command names those that were asked for. Options
    # of a method are no part of its budget.
    own = {field.name for field in dataclasses.fields(Settings)} | {"network"}
    return own.isdisjoint(changed(method, run.command))


def _by_condition(path: Path, name: str, table: Any, cards: Cards) -> dict[str, dict[str, float]]:
    """Numbers of a table under "", and of the tables of conditions in it."""
    if not isinstance(table, Mapping):
        raise UsageError(f"{name} in {path.name} must be a table, not {table!r}")

    parts: dict[str, dict[str, Any]] = {"": {}}
    for key, value in table.items():
        if isinstance(value, Mapping):
            parts[key] = dict(value)
        else:
            parts[""][key] = value

    found: dict[str, dict[str, float]] = {}
    for condition, part in parts.items():
        found[condition] = {}
        for metric, value in part.items():
            _check(path, name, metric, value, cards)
            found[condition][metric] = math.inf if value is False else float(value)
    return found


def _check(path: Path, name: str, metric: str, value: Any, cards: Cards) -> None:
    """Check a margin, at least 0 or ``false``, or a floor, which only ordered metrics have."""
    if metric not in cards:
        raise unknown(f"metric in {path.name}", metric, cards)
    if name == "margins" and value is False:
        return

    # True is an int in Python.
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        allowed = "a finite number"
        if name == "margins":
            allowed += " of at least 0, or false"
        raise UsageError(f"{name}.{metric} in {path.name} must be {allowed}, not {value!r}")
    if name == "margins" and value < 0:
        raise UsageError(f"margins.{metric} in {path.name} must be at least 0, not {value}")

    if name == "floors" and cards[metric].direction == "none":
        better = [id for id in cards if cards[id].direction != "none"]
        raise UsageError(
            f"{metric} in {path.name} has no floor: neither way is better "
            f"(known: {', '.join(better)})"
        )
