"""Tune methods at equal budgets: trials are ordinary runs, scored on held-out training data.

A study gives each method the same number of trials (plan/search_space.py), trains each over tuning
seeds that no evaluation has, and chooses by the mean NLL of the held-out examples. The test split,
attacks, shifts and out-of-distribution data are not read. The choice is a file, tuned.toml, by
which ``bench-uq run --tuned`` runs the suite. As in AlgoPerf (Dahl et al. 2023), points are
quasi-random, and one space of a method is for all datasets.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_uq.api.errors import UsageError
from bench_uq.api.names import plain_name
from bench_uq.plan.about import about
from bench_uq.plan.fingerprints import SHORT, Contents, digest
from bench_uq.plan.plugins import Plugins, Spec
from bench_uq.plan.resolve import named
from bench_uq.plan.runs import make_plan
from bench_uq.plan.search_space import Trial, space_of, trials, with_options
from bench_uq.plan.suite import Suite
from bench_uq.plan.suite import seeds as read_seeds
from bench_uq.plan.tuned import Chosen, Tuned, tuned_file, write_tuned
from bench_uq.run.suite import Choices, Prepared, due, once, own_files, workplace
from bench_uq.store import check_schema, merge_plan, write_bytes
from bench_uq.store.folders import enclosed

if TYPE_CHECKING:
    from bench_uq.run.job import Job
    from bench_uq.run.record import Ended
    from bench_uq.score.results import Results

#: Seeds of a trial, unless the user gives others.
SEEDS = 3
#: The score by which trials are compared; lower is better.
METRIC = "nll"
TRIALS = "trials.csv"
COLUMNS = (
    *("dataset", "method", "trial", "name", "settings", "seeds", "nll", "train_seconds"),
    "chosen",
)


@dataclass(frozen=True)
class Planned:
    """A trial of a method as a suite of its own, and its planned runs."""

    method: str  # as the suite has it
    name: str  # with the options of the trial
    trial: Trial
    prepared: Prepared


@dataclass(frozen=True)
class Tried:
    """What a trial of a method gave on a dataset."""

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


@dataclass(frozen=True)
class Study:
    """All trials of a study, planned; nothing is written yet."""

    suite: Suite
    seed: int
    trials: int
    planned: tuple[Planned, ...]
    target: Path  # the file of what is chosen
    folder: Path  # of the trials

    def all_runs(self) -> Prepared:
        """The runs of all trials as one, for the processes or the cluster that do them."""
        first = self.planned[0].prepared
        runs = []
        for one in self.planned:
            runs += one.prepared.runs
        return dataclasses.replace(first, runs=runs, mine=runs)


def plan_study(choices: Choices, count: int, seed: int, notice: Callable[[str], None]) -> Study:
    """Plan a study of ``count`` trials a method; ``choices.seeds`` are its tuning seeds."""
    if count < 1:
        raise UsageError(f"trials must be at least 1, not {count}")
    if seed < 0:
        raise UsageError(f"seed must be at least 0, not {seed}")

    plugins = Plugins(choices.plugins)
    # The seeds chosen are those of the trials, not of the suite.
    suite = dataclasses.replace(choices, seeds=()).read_suite()
    seeds = tuning_seeds(suite, choices.seeds)
    contents = Contents(choices.data_dir, choices.results / ".contents.json")
    folder = enclosed(choices.results / f"{suite.name}-tuning")

    # Each trial would say the same of the data.
    told, planned = once(notice), list[Planned]()

    for text in suite.methods:
        method = named(plugins, suite, "method", text)
        space = space_of(method, suite, plugins)
        for trial in trials(method, space, seed, count):
            spec = with_options(method, trial.options, plugins)
            own = trial_suite(suite, method, spec, trial, seeds, seed)
            runs = make_plan(own, plugins, contents, told)
            place = folder / own.name
            check_schema(place, [run.name for run in runs])
            prepared = Prepared(choices, own, runs, runs, place, contents, [])
            planned.append(Planned(method.name, spec.name, trial, prepared))

    return Study(suite, seed, count, tuple(planned), tuned_file(choices.results, suite), folder)


def tuning_seeds(suite: Suite, given: Sequence[str]) -> tuple[int, ...]:
    """Seeds of the trials: those after the suite's own, or those given, which must be others."""
    if not given:
        first = max(suite.seeds) + 1
        return tuple(range(first, first + SEEDS))

    asked = read_seeds(list(given))
    shared = sorted(set(asked) & set(suite.seeds))
    if shared:
        raise UsageError(
            f"tuning seeds must not be the suite's, which evaluate: {shared[0]} is in both"
        )
    return asked


def trial_suite(
    suite: Suite, method: Spec, spec: Spec, trial: Trial, seeds: tuple[int, ...], seed: int
) -> Suite:
    """A suite of one trial: the method with its options and recipe, on held-out training data."""
    settings = {**suite.method_settings.get(method.plain, {}), **trial.settings}
    identity = digest([dataclasses.asdict(suite.settings), settings, spec.identity, seeds])

    return dataclasses.replace(
        suite,
        name=f"{method.plain}-s{seed}-t{trial.number}-{identity[:SHORT]}",
        description=f"trial {trial.number} of {method.name}, study {seed}",
        methods=(spec.full,),
        seeds=seeds,
        settings=dataclasses.replace(suite.settings, evaluate_on="validation"),
        method_settings={**suite.method_settings, method.plain: settings},
        conditions={},
        dataset_conditions={},
    )


def run_study(study: Study, finished: Callable[[str, Ended], None]) -> int:
    """Do all runs of a study that are not stored; return how many failed, the diverged left out."""
    whole = study.all_runs()
    failed = 0
    with workplace(whole) as (device, work):
        whole.contents.remember()
        todo = []
        for one in study.planned:
            remember(one.prepared, study)
            todo += due(one.prepared.jobs(device), finished)

        def ended(job: Job, result: Ended) -> None:
            nonlocal failed
            # A trial that diverges is a trial.
            failed += result.record.status not in ("ok", "diverged")
            finished(job.run.name, result)

        work(todo, finished=ended)
    return failed


def remember(prepared: Prepared, study: Study) -> None:
    """Write the plan of a trial."""
    choices = prepared.choices
    command = f"bench-uq tune --suite {Path(choices.suite).name} --trials {study.trials}"
    runs = [dataclasses.replace(run, command=command) for run in prepared.runs]
    facts = about(runs, Plugins(choices.plugins), prepared.contents.remarks)
    merge_plan(prepared.folder, runs, prepared.suite.description, facts, own_files(prepared))


def choose(study: Study) -> Tuned:
    """Score the trials of a study, and write which of each method is chosen; return that."""
    from bench_uq.score.results import read
    from bench_uq.score.score import score

    tried = list[Tried]()
    for planned in study.planned:
        folder = planned.prepared.folder
        score(folder, Plugins(planned.prepared.choices.plugins))
        tried += tried_in(planned, read(folder))

    best = best_of(tried)
    for one in best:
        if not math.isfinite(one.nll):
            raise UsageError(
                f"no trial of {one.method} on {one.dataset} has a finite NLL over all its seeds: "
                f"the runs below {study.folder} say why"
            )

    seconds = dict.fromkeys((one.method for one in tried), 0.0)
    for one in tried:
        seconds[one.method] += one.train_seconds
    seeds = study.planned[0].prepared.suite.seeds
    chosen = tuple(chosen_of(one, tried) for one in best)
    tuned = Tuned(study.suite.name, study.seed, study.trials, seeds, METRIC, chosen, seconds)

    write_bytes(study.folder / TRIALS, table(tried, best).encode())
    write_tuned(study.target, tuned)
    return tuned


def tried_in(planned: Planned, results: Results) -> list[Tried]:
    """What each dataset gave in a trial: an infinite NLL if one of the seeds lacks it."""
    scores = results.scores
    scores = scores[(scores["condition"] == "clean") & (scores["metric"] == METRIC)]

    suite, found = planned.prepared.suite, []
    # The folder may hold datasets of other studies too.
    for dataset in sorted({run.dataset for run in planned.prepared.runs}):
        values = scores[scores["dataset"] == dataset]["value"].dropna()
        runs = results.runs[results.runs["dataset"] == dataset]
        found.append(
            Tried(
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


def best_of(tried: Sequence[Tried]) -> list[Tried]:
    """The trial of the lowest NLL of each method and dataset."""
    best: dict[tuple[str, str], Tried] = {}
    for one in tried:
        # Of equals the first, which is the default or the one that was tried earlier.
        if one.place not in best or one.nll < best[one.place].nll:
            best[one.place] = one
    return list(best.values())


def chosen_of(best: Tried, tried: Sequence[Tried]) -> Chosen:
    """A chosen trial beside the default, which is the first."""
    default = next(one for one in tried if one.place == best.place)
    return Chosen(
        method=best.method,
        dataset=best.dataset,
        name=best.name,
        trial=best.trial,
        nll=best.nll,
        default_nll=default.nll,
        settings=best.settings,
    )


def table(tried: Sequence[Tried], best: Sequence[Tried]) -> str:
    """The trials as CSV, a row for each trial and dataset."""
    import pandas as pd

    from bench_uq.store.csv import csv_text

    lines = []
    for one in tried:
        settings = ",".join(f"{name}={value}" for name, value in one.settings.items())
        row = {**vars(one), "settings": settings, "chosen": one in best}
        lines.append([row[name] for name in COLUMNS])
    return csv_text(pd.DataFrame(lines, columns=COLUMNS, dtype=object))
