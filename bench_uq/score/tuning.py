"""How a suite was tuned: its trials, method by method, and the expected best of fewer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bench_uq.api.names import parse_full
from bench_uq.score.results import Results
from bench_uq.score.statistics import ALPHA
from bench_uq.score.trials import Trial
from bench_uq.train.settings import OF_METHODS

#: Share of studies that may find nothing: with more, the expected best of the others is not given.
LOST = ALPHA


def expected_best(values: Sequence[float], count: int) -> float:
    """Expected lowest of ``count`` draws, with replacement (Dodge et al. 2019, eq. 5).

    A trial that diverged is infinite, and so is the lowest of draws that all diverged. Unlike
    there, the expectation is that of the other draws; it is infinite if more than LOST of them are
    such, because a method must not gain by trials that fail.
    """
    ordered = np.sort(np.asarray(values, dtype=float))
    finite = np.isfinite(ordered)
    lost = float(np.mean(~finite)) ** count
    if lost > LOST:
        return math.inf

    above = 1 - np.arange(len(ordered) + 1) / len(ordered)
    # P(the lowest of the draws is the i-th value) = P(all >= it) - P(all > it).
    chances = above[:-1] ** count - above[1:] ** count
    return float((ordered[finite] * chances[finite]).sum() / (1 - lost))


@dataclass(frozen=True)
class BestCurve:
    """Expected lowest validation NLL by the number of trials: mean and range over the studies."""

    trials: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class TunedMethod:
    """The trials of a method on one dataset; ``known`` are the values of its default."""

    method: str  # as the untuned suite has it
    trials: tuple[Trial, ...]
    known: Mapping[str, str]

    @cached_property
    def chosen(self) -> Trial:
        """The trial that the tuned suite runs."""
        return next(one for one in self.trials if one.chosen)

    @property
    def name(self) -> str:
        """Name in the results of the tuned suite."""
        return self.chosen.name

    @property
    def default(self) -> Trial | None:
        """Trial 0 of the study of the chosen one, else of any."""
        found = [one for one in self.trials if one.number == 0]
        found.sort(key=lambda one: one.study != self.chosen.study)
        return found[0] if found else None

    @property
    def kept(self) -> bool:
        """Whether the default was chosen."""
        return self.chosen.number == 0

    @cached_property
    def studies(self) -> dict[int, list[Trial]]:
        """The trials of each study."""
        found: dict[int, list[Trial]] = {}
        for one in sorted(self.trials, key=lambda one: (one.study, one.number)):
            found.setdefault(one.study, []).append(one)
        return found

    @property
    def seconds(self) -> float:
        """Training seconds of all trials."""
        return sum(one.train_seconds for one in self.trials)

    @property
    def seeds(self) -> int:
        """Tuning seeds: those of the trials that have an NLL with most of them."""
        return max(one.seeds for one in self.trials)

    @property
    def diverged(self) -> int:
        """Trials without a finite NLL."""
        return sum(math.isinf(one.nll) for one in self.trials)

    @cached_property
    def settings(self) -> list[str]:
        """The options and settings that differ between trials, in the order of the file."""
        values: dict[str, set[str]] = {}
        for one in self.trials:
            for name, value in self.values(one).items():
                values.setdefault(name, set()).add(value)

        tried = dict[str, None]()
        for one in self.trials:
            tried |= dict.fromkeys(one.values)
        return [name for name in tried if len(values[name]) > 1]

    def values(self, trial: Trial) -> dict[str, str]:
        """Options and settings of a trial, those of the default as far as they are known."""
        if trial.number == 0:
            return {**self.known, **trial.values}
        return trial.values

    @property
    def changes(self) -> dict[str, str]:
        """The tuned options and settings of the chosen trial; none if it is the default."""
        if self.kept:
            return {}
        return {name: value for name, value in self.chosen.values.items() if name in self.settings}

    def best_curve(self) -> BestCurve:
        """The expected best as far as every study went; infinite where one may find nothing."""
        shortest = min(map(len, self.studies.values()))
        counts = np.arange(1, shortest + 1)
        rows = []
        for own in self.studies.values():
            values = [one.nll for one in own]
            rows.append([expected_best(values, count) for count in counts.tolist()])

        table = np.array(rows)
        return BestCurve(counts, table.mean(axis=0), table.min(axis=0), table.max(axis=0))


def tuned_methods(results: Results) -> list[TunedMethod]:
    """The methods that were tuned on one dataset, in the order of the results."""
    places: dict[str, list[Trial]] = {}
    for one in results.trials:
        places.setdefault(one.method, []).append(one)

    found = []
    for method, own in places.items():
        chosen = next(one for one in own if one.chosen)
        if chosen.name in results.methods:
            found.append(TunedMethod(method, tuple(own), _known(results, method, chosen)))
    return sorted(found, key=lambda one: (results.methods.index(one.name), one.method))


def _known(results: Results, method: str, chosen: Trial) -> dict[str, str]:
    """Options and recipe of a method's default, as its runs had them; empty without such runs."""
    places = [(results.defaults, method)]
    if chosen.number == 0:
        places.append((results, chosen.name))
    finished = list[Any]()
    for where, name in places:
        if where is not None:
            runs = where.runs[(where.runs["method"] == name) & (where.runs["status"] == "ok")]
            finished += runs.to_dict("records")

    found = dict[str, str]()
    for run in finished[:1]:
        for name in OF_METHODS:
            value = run.get(name)
            # A rate of 0 stands for the method's own, which results do not say.
            if value != value or value in ("", None) or (name, value) == ("learning_rate", 0):
                continue
            found[name] = value if isinstance(value, str) else f"{value:g}"
        found |= parse_full(run.get("method_full") or "")
    return found
