"""A trial of a study, and what it gave by the scores of its stored runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench_uq.api.names import plain_name
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.search_space import Trial
from bench_uq.run.suite import Prepared

#: The score by which trials are compared; lower is better.
METRIC = "nll"


@dataclass(frozen=True)
class Planned:
    """A trial of a method as a suite of its own, and its planned runs."""

    study: int  # its seed
    method: str  # as the suite has it
    name: str  # with the options of the trial
    trial: Trial
    prepared: Prepared


@dataclass(frozen=True)
class Tried:
    """What a trial of a method gave on a dataset."""

    study: int
    dataset: str
    method: str
    trial: int
    name: str
    settings: Mapping[str, Any]
    seeds: int  # with an NLL
    nll: float  # mean over the seeds, of held-out examples
    train_seconds: float

    @property
    def place(self) -> tuple[str, str]:
        """Trials of one place are chosen among."""
        return self.dataset, self.method


def tried_in(planned: Planned) -> list[Tried]:
    """What each dataset gave in a trial: an infinite NLL if one of the seeds lacks it."""
    from bench_uq.score.results import read
    from bench_uq.score.score import score

    folder = planned.prepared.folder
    score(folder, Plugins(planned.prepared.choices.plugins))
    results = read(folder)

    scores = results.scores
    scores = scores[(scores["condition"] == "clean") & (scores["metric"] == METRIC)]

    suite, found = planned.prepared.suite, []
    # The folder may hold datasets of other studies too.
    for dataset in sorted({run.dataset for run in planned.prepared.runs}):
        values = scores[scores["dataset"] == dataset]["value"].dropna()
        runs = results.runs[results.runs["dataset"] == dataset]
        found.append(
            Tried(
                study=planned.study,
                dataset=dataset,
                method=planned.method,
                trial=planned.trial.number,
                name=planned.name,
                settings=suite.method_settings[plain_name(planned.name)],
                seeds=len(values),
                nll=float(values.mean()) if len(values) == len(suite.seeds) else math.inf,
                train_seconds=float(runs["train_seconds"].sum()),
            )
        )
    return found
