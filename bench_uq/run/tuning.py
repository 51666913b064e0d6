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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench_uq.api.errors import UsageError
from bench_uq.plan.about import about
from bench_uq.plan.fingerprints import SHORT, Contents, digest
from bench_uq.plan.plugins import Plugins, Spec
from bench_uq.plan.resolve import named
from bench_uq.plan.runs import make_plan
from bench_uq.plan.search_space import Trial, space_of, trials, with_options
from bench_uq.plan.suite import Suite, read_suite
from bench_uq.plan.tuned import Chosen, Tuned, tuned_file, write_tuned
from bench_uq.run.suite import Choices, Prepared, due, own_files, workplace
from bench_uq.store import check_schema, merge_plan, write_bytes
from bench_uq.store.folders import enclosed

if TYPE_CHECKING:
    from bench_uq.run.job import Job
    from bench_uq.run.record import Ended

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
    changes = {
        "set": choices.assignments,
        "methods": choices.methods,
        "datasets": choices.datasets,
        "network": choices.network,
    }
    suite = read_suite(choices.suite, changes)
    seeds = tuning_seeds(suite, choices.seeds)
    contents = Contents(choices.data_dir, choices.results / ".contents.json")
    folder = enclosed(choices.results / f"{suite.name}-tuning")

    told, planned = set[str](), list[Planned]()

    def once(text: str) -> None:
        # Each trial would say it again.
        if text not in told:
            told.add(text)
            notice(text)

    for text in suite.methods:
        method = named(plugins, suite, "method", text)
        space = space_of(method, suite, plugins)
        for trial in trials(method, space, seed, count):
            spec = with_options(method, trial.options, plugins)
            own = trial_suite(suite, method, spec, trial, seeds, seed)
            runs = make_plan(own, plugins, contents, once)
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

    asked = read_suite_seeds(given)
    shared = sorted(set(asked) & set(suite.seeds))
    if shared:
        raise UsageError(
            f"tuning seeds must not be the suite's, which evaluate: {shared[0]} is in both"
        )
    return asked


def read_suite_seeds(given: Sequence[str]) -> tuple[int, ...]:
    """Seeds as a suite reads them."""
    from bench_uq.plan.suite import seeds

    return seeds(list(given))


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
    """Do all runs of a study that are not stored; return the number of runs that failed."""
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
            failed += result.record.status != "ok"
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

    rows = list[dict[str, Any]]()
    for one in study.planned:
        score(one.prepared.folder, Plugins(one.prepared.choices.plugins))
        rows += rows_of(one, read(one.prepared.folder))

    best: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        place = row["dataset"], row["method"]
        # Of equals the first, which is the default or the one that was tried earlier.
        if place not in best or row["nll"] < best[place]["nll"]:
            best[place] = row
    for row in best.values():
        if not math.isfinite(row["nll"]):
            raise UsageError(
                f"no trial of {row['method']} on {row['dataset']} has a finite NLL over all its "
                f"seeds: bench-uq score --results {study.folder} shows why"
            )
        row["chosen"] = True

    seeds = study.planned[0].prepared.suite.seeds
    chosen = []
    for row in best.values():
        default = next(other for other in rows if is_default(other, row))
        chosen.append(
            Chosen(
                row["method"], row["dataset"], row["name"], row["trial"], row["nll"],
                default["nll"], row["settings"],
            )
        )  # fmt: skip
    seconds: dict[str, float] = {}
    for row in rows:
        seconds[row["method"]] = seconds.get(row["method"], 0) + row["train_seconds"]
    tuned = Tuned(study.suite.name, study.seed, study.trials, seeds, METRIC, tuple(chosen), seconds)

    write_bytes(study.folder / TRIALS, table(rows).encode())
    write_tuned(study.target, tuned)
    return tuned


def is_default(row: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether a row is trial 0 of the method and dataset of another."""
    same = (row["dataset"], row["method"]) == (other["dataset"], other["method"])
    return same and row["trial"] == 0


def rows_of(one: Planned, results: Any) -> list[dict[str, Any]]:
    """A row for each dataset of a trial: its mean validation NLL, infinite if a seed lacks it."""
    import numpy as np

    suite, plain = one.prepared.suite, one.prepared.suite.methods[0].partition("[")[0]
    scores = results.scores
    scores = scores[(scores["condition"] == "clean") & (scores["metric"] == METRIC)]
    rows = []
    for dataset in results.datasets:
        values = scores[scores["dataset"] == dataset]["value"].dropna()
        runs = results.runs[results.runs["dataset"] == dataset]
        whole = len(values) == len(suite.seeds) and np.isfinite(values).all()
        rows.append(
            {
                "dataset": dataset,
                "method": one.method,
                "trial": one.trial.number,
                "name": one.name,
                "settings": dict(suite.method_settings[plain]),
                "seeds": len(values),
                "nll": float(values.mean()) if whole else math.inf,
                "train_seconds": float(runs["train_seconds"].sum()),
                "chosen": False,
            }
        )
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The trials as CSV, a row for each trial and dataset."""
    import pandas as pd

    from bench_uq.store.csv import csv_text

    lines = []
    for row in rows:
        settings = ",".join(f"{name}={value}" for name, value in row["settings"].items())
        lines.append([{**row, "settings": settings}[name] for name in COLUMNS])
    return csv_text(pd.DataFrame(lines, columns=COLUMNS, dtype=object))
