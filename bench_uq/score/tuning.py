"""How a suite was tuned: its trials, method by method, and the expected best of fewer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

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
    """The trials of a method on one dataset; ``known`` are the values of its default.

    Where each seed was tuned apart, ``stored`` has the trials of all seeds, and ``trials`` their
    means.
    """

    method: str  # as the untuned suite has it
    stored: tuple[Trial, ...]
    known: Mapping[str, str]

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """The trials, each in the mean over the seeds."""
        if not self.apart:
            return self.stored
        found: dict[tuple[int, int], list[Trial]] = {}
        for one in self.stored:
            found.setdefault((one.study, one.number), []).append(one)
        return tuple(map(_mean, found.values()))

    @cached_property
    def choices(self) -> tuple[Trial, ...]:
        """The trials that the tuned suite runs: one, or one for each seed that was tuned apart."""
        return tuple(one for one in self.stored if one.chosen)

    @property
    def apart(self) -> bool:
        """Whether each seed was tuned apart."""
        return self.stored[0].seed is not None

    @property
    def name(self) -> str:
        """Name in the results of the tuned suite."""
        return self.choices[0].called

    @property
    def default(self) -> Trial | None:
        """Trial 0 of the study of the chosen one, else of any."""
        studies = {one.study for one in self.choices}
        found = [one for one in self.trials if one.number == 0]
        found.sort(key=lambda one: one.study not in studies)
        return found[0] if found else None

    @property
    def kept(self) -> bool:
        """Whether the default was chosen, for every seed."""
        return self.kept_seeds == len(self.choices)

    @property
    def kept_seeds(self) -> int:
        """Choices that are the default."""
        return sum(one.number == 0 for one in self.choices)

    @property
    def chosen_nll(self) -> float:
        """NLL of held-out examples of the chosen trial, in the mean over the choices."""
        return float(np.mean([one.nll for one in self.choices]))

    @cached_property
    def studies(self) -> dict[int, list[Trial]]:
        """The trials of each study, in the mean over the seeds."""
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
        """The tuned options and settings of the chosen trial; none if it is the default.

        Of several choices the smallest and the largest value, or all words.
        """
        found: dict[str, list[str]] = {}
        for one in self.choices:
            if one.number == 0:
                continue
            for name, value in one.values.items():
                if name in self.settings:
                    found.setdefault(name, []).append(value)
        return {name: _span(values) for name, values in found.items()}

    def best_curve(self) -> BestCurve:
        """The expected best as far as every study went; infinite where one may find nothing.

        Of seeds that were tuned apart, the mean over the seeds.
        """
        shortest = min(map(len, self.studies.values()))
        counts = np.arange(1, shortest + 1)
        by_study: dict[int, dict[int | None, list[float]]] = {}
        for one in sorted(self.stored, key=lambda one: (one.study, one.number)):
            by_study.setdefault(one.study, {}).setdefault(one.seed, []).append(one.nll)

        rows = []
        for by_seed in by_study.values():
            of_seeds = []
            for values in by_seed.values():
                of_seeds.append([expected_best(values, count) for count in counts.tolist()])
            rows.append(np.mean(of_seeds, axis=0))

        table = np.array(rows)
        return BestCurve(counts, table.mean(axis=0), table.min(axis=0), table.max(axis=0))


def _mean(trials: Sequence[Trial]) -> Trial:
    """A trial in the mean over the seeds that were tuned apart; infinite if one of them is."""
    return replace(
        trials[0],
        seed=None,
        seeds=sum(one.seeds for one in trials),
        nll=float(np.mean([one.nll for one in trials])),
        train_seconds=sum(one.train_seconds for one in trials),
        chosen=False,
    )


def _span(values: Sequence[str]) -> str:
    """The smallest and the largest of some numbers, or all of some words; one if all are one."""
    distinct = sorted(set(values))
    if len(distinct) == 1:
        return distinct[0]
    try:
        ordered = sorted(distinct, key=float)
    except ValueError:
        return " or ".join(distinct)
    return f"{ordered[0]} to {ordered[-1]}"


def tuned_methods(results: Results) -> list[TunedMethod]:
    """The methods that were tuned on one dataset, in the order of the results."""
    places: dict[str, list[Trial]] = {}
    for one in results.trials:
        places.setdefault(one.method, []).append(one)

    found = []
    for method, own in places.items():
        chosen = [one for one in own if one.chosen]
        if chosen[0].called in results.methods:
            found.append(TunedMethod(method, tuple(own), _known(results, method, chosen)))
    return sorted(found, key=lambda one: (results.methods.index(one.name), one.method))


def _known(results: Results, method: str, chosen: Sequence[Trial]) -> dict[str, str]:
    """Options and recipe of a method's default, as its runs had them; empty without such runs."""
    finished = list[Any]()
    if results.defaults is not None:
        finished += _finished(results.defaults.runs, method)
    for one in chosen:
        if one.number == 0:
            runs = results.runs
            if one.seed is not None:
                runs = runs[runs["seed"] == one.seed]
            finished += _finished(runs, one.called)

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


def _finished(runs: pd.DataFrame, method: str) -> list[Any]:
    """The finished runs of a method."""
    own = runs[(runs["method"] == method) & (runs["status"] == "ok")]
    return list(own.to_dict("records"))
