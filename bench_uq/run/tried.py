"""A trial of a study, and what it gave by the scores of its stored runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench_uq.api.names import plain_name
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.search_space import Trial
from bench_uq.plan.tuned import Place, seeds_apart
from bench_uq.run.suite import Prepared

if TYPE_CHECKING:
    import pandas as pd

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
    per_seed: bool = False  # each seed is chosen for apart


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
    seed: int | None = None  # the only one, where each is chosen for apart

    @property
    def place(self) -> Place:
        """Trials of one place are chosen among."""
        return self.dataset, self.method, self.seed


def tried_in(planned: Planned) -> list[Tried]:
    """What each dataset gave in a trial: an infinite NLL if one of the seeds lacks it.

    Where each seed is chosen for apart, what each dataset and seed gave.
    """
    from bench_uq.score.score import score
    from bench_uq.store import derived

    folder = planned.prepared.folder
    score(folder, Plugins(planned.prepared.choices.plugins))
    # Not those that a mean would hold: it leaves out runs that are unlike others in the folder,
    # which may be of other seeds.
    every, scores = derived.table(folder / derived.RUNS), derived.table(folder / derived.SCORES)
    finished = every[every["status"] == "ok"]["run"]
    scores = scores[(scores["condition"] == "clean") & (scores["metric"] == METRIC)]
    scores = scores[scores["run"].isin(finished)]

    suite, found = planned.prepared.suite, []
    together = seeds_apart(suite.seeds, apart=planned.per_seed)
    # The folder may hold datasets and seeds of other studies too.
    datasets = sorted({run.dataset for run in planned.prepared.runs})
    for dataset, (seeds, apart) in itertools.product(datasets, together):
        values = _own(scores, dataset, seeds)["value"].dropna()
        runs = _own(every, dataset, seeds)
        found.append(
            Tried(
                study=planned.study,
                dataset=dataset,
                method=planned.method,
                trial=planned.trial.number,
                name=planned.name,
                settings=suite.method_settings[plain_name(planned.name)],
                seeds=len(values),
                nll=float(values.mean()) if len(values) == len(seeds) else math.inf,
                train_seconds=float(runs["train_seconds"].sum()),
                seed=apart,
            )
        )
    return found


def _own(table: pd.DataFrame, dataset: str, seeds: tuple[int, ...]) -> pd.DataFrame:
    """The rows of a dataset and some seeds."""
    return table[(table["dataset"] == dataset) & table["seed"].isin(seeds)]
