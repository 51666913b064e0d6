"""Tune each method: trials as ordinary runs on held-out training data, as many for each.

A study holds trials of every method of a suite. Trial k is a suite of one method with the options
and settings of trial k, evaluated on the validation split, over seeds that the suite does not have.
Its runs are stored like all others, so that an interrupted study goes on where it was, and parts of
it can run on several machines. What a study chooses (choosing.py) is written to
``results/<suite>/tuned.toml``, by which ``bench-uq run --tuned`` runs the suite. As in AlgoPerf
(Dahl et al. 2023), points are quasi-random, and one space of a method is for all datasets. Optuna
may choose them instead (adaptive.py); then each trial waits for those before it.
"""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench_uq.api.architecture_names import shown_network
from bench_uq.api.errors import UsageError, unknown
from bench_uq.plan.about import about
from bench_uq.plan.fingerprints import SHORT, Contents, digest
from bench_uq.plan.plugins import Plugins, Spec
from bench_uq.plan.resolve import Notice, named, references_of
from bench_uq.plan.runs import make_plan
from bench_uq.plan.search_space import (
    SAMPLERS,
    SOBOL,
    TPE,
    Dimension,
    Trial,
    space_of,
    trials,
    with_options,
)
from bench_uq.plan.suite import Suite
from bench_uq.plan.suite import seeds as read_seeds
from bench_uq.plan.tuned import tuned_file
from bench_uq.run.adaptive import adaptive_trials, loaded
from bench_uq.run.shards import shard_of
from bench_uq.run.suite import Choices, Prepared, due, once, own_files, workplace
from bench_uq.run.tried import Planned, tried_in
from bench_uq.store import PlannedRun, check_schema, merge_plan, run_folder
from bench_uq.store.folders import enclosed
from bench_uq.store.untrusted import STUDY

if TYPE_CHECKING:
    from bench_uq.run.job import Job
    from bench_uq.run.record import Ended

#: Seeds of a trial, unless the user gives others.
SEEDS = 3
#: Trials of a method at most, where seconds limit them.
TRIALS = 64


@dataclass(frozen=True)
class Search:
    """How much is tried: each method has the same budget in each study."""

    trials: int = TRIALS  # at most, if seconds limit them
    seconds: float = 0.0  # of training; 0 for no limit
    studies: int = 1
    seed: int = 0  # of the first study; the next has the next
    sampler: str = SOBOL
    per_seed: bool = False  # each seed of the suite has trials and a choice of its own

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise unknown("sampler", self.sampler, SAMPLERS)
        for name, least in (("trials", 1), ("studies", 1), ("seed", 0), ("seconds", 0)):
            value = getattr(self, name)
            if not least <= value < math.inf:
                raise UsageError(f"{name} must be at least {least}, not {value}")

    @property
    def seeds(self) -> range:
        """Seeds of the studies."""
        return range(self.seed, self.seed + self.studies)


def search_of(
    trials: int | None,
    seconds: float | None,
    studies: int,
    seed: int,
    sampler: str = SOBOL,
    *,
    per_seed: bool = False,
) -> Search:
    """How much is tried; the trials or the seconds must say it."""
    if trials is None and seconds is None:
        raise UsageError("tune needs a number of trials, or seconds of training")
    if seconds is not None and not seconds > 0:
        raise UsageError(f"seconds must be above 0, not {seconds:g}")

    if per_seed and sampler != SOBOL:
        raise UsageError(
            f"--per-seed and --sampler {sampler} exclude each other: trials would follow the "
            "scores of all seeds"
        )
    if per_seed and seconds is not None:
        raise UsageError(
            "--per-seed and --seconds exclude each other: a seed would have more trials beside "
            "fewer other seeds"
        )

    count = TRIALS if trials is None else trials
    return Search(count, seconds or 0.0, studies, seed, sampler, per_seed)


@dataclass(frozen=True)
class Rival:
    """Who has a budget: a method in a study, with its space; on one dataset if points follow it."""

    study: int  # its seed
    method: Spec  # as the suite has it
    space: tuple[Dimension, ...]
    datasets: tuple[str, ...]


@dataclass(frozen=True)
class Study:
    """All trials of all studies, planned; nothing is written yet.

    Of trials that follow those before them, only the defaults are planned.
    """

    suite: Suite
    search: Search
    rivals: tuple[Rival, ...]
    plan: Callable[[Rival, Trial], Planned]
    planned: tuple[Planned, ...]
    target: Path  # the file of what is chosen
    folder: Path  # of the trials

    def all_runs(self) -> Prepared:
        """The runs of all trials as one, for the processes or the cluster that do them."""
        first = self.planned[0].prepared
        runs, mine = list[PlannedRun](), list[PlannedRun]()
        for one in self.planned:
            runs += one.prepared.runs
            mine += one.prepared.mine
        return dataclasses.replace(first, runs=runs, mine=mine)


def plan_study(choices: Choices, search: Search, notice: Callable[[str], None]) -> Study:
    """Plan all trials; ``choices.seeds`` are the tuning seeds."""
    if choices.shard and search.seconds:
        raise UsageError(
            "--shard and --seconds exclude each other: no shard knows the seconds of the others"
        )

    if choices.shard and search.sampler != SOBOL:
        raise UsageError(
            f"--shard and --sampler {search.sampler} exclude each other: each trial depends on "
            "those before it"
        )

    plugins = Plugins(choices.plugins)
    # The seeds chosen are those of the trials, not of the suite.
    suite = dataclasses.replace(choices, seeds=()).read_suite()
    if suite.tuned:
        raise UsageError(f"suite {suite.name!r} is tuned by {suite.tuned}: tune the one it extends")

    seeds = tuning_seeds(suite, choices.seeds, per_seed=search.per_seed)
    contents = Contents(choices.data_dir, choices.results / ".contents.json")
    folder = enclosed(choices.results / f"{suite.name}{STUDY}")

    # Each trial would say the same of the data.
    told = once(notice)
    if not search.per_seed:
        tell_of_splits(suite, seeds, plugins, contents, told)

    def plan(rival: Rival, trial: Trial) -> Planned:
        spec = with_options(rival.method, trial.options, plugins)
        own = trial_suite(suite, rival, spec, trial, seeds, per_seed=search.per_seed)
        runs = make_plan(own, plugins, contents, told)
        place = folder / own.name
        check_schema(place, [run.name for run in runs])
        prepared = Prepared(choices, own, runs, runs, place, contents, [])
        return Planned(rival.study, rival.method.name, spec.name, trial, prepared, search.per_seed)

    rivals = rivals_of(suite, search, plugins)
    planned = list[Planned]()
    for rival in rivals:
        # What follows the default depends on its score, which nobody knows yet.
        count = 1 if search.sampler == TPE else search.trials
        planned += [
            plan(rival, one) for one in trials(rival.method, rival.space, rival.study, count)
        ]

    target = tuned_file(choices.results, suite)
    own = tuple(sharded(planned, choices.shard))
    return Study(suite, search, rivals, plan, own, target, folder)


def tell_of_splits(
    suite: Suite, seeds: Sequence[int], plugins: Plugins, contents: Contents, notice: Notice
) -> None:
    """Tell of datasets whose splits differ by seed: trials then train on what others test on."""
    for text in suite.datasets:
        dataset = named(plugins, suite, "dataset", text)
        ours = contents.of(dataset, "train", suite.seeds[0]).hash
        if any(contents.of(dataset, "train", seed).hash != ours for seed in seeds):
            notice(
                f"{dataset.name}: each seed has a split of its own, so that trials train on test "
                "examples of the suite's seeds (--per-seed tunes each by its own)"
            )


def rivals_of(suite: Suite, search: Search, plugins: Plugins) -> tuple[Rival, ...]:
    """Every method in every study; for each dataset apart if points follow scores."""
    together = [suite.datasets]
    if search.sampler == TPE:
        loaded()
        together = [(dataset,) for dataset in suite.datasets]

    references = {one.name for one in references_of(suite, plugins)}
    found = []
    for text in suite.methods:
        method = named(plugins, suite, "method", text)
        # What the others are compared with stays as it is.
        if method.name in references:
            continue
        space = space_of(method, suite, plugins)
        for study in search.seeds:
            found += [Rival(study, method, space, datasets) for datasets in together]
    if not found:
        raise UsageError(f"nothing to tune: {', '.join(suite.methods)} is a reference")
    return tuple(found)


def tuning_seeds(suite: Suite, given: Sequence[str], *, per_seed: bool = False) -> tuple[int, ...]:
    """Seeds of the trials: those after the suite's own, or those given, which must be others.

    Where each seed is tuned apart they are the suite's, or those given.
    """
    if per_seed:
        return read_seeds(list(given)) if given else suite.seeds
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
    suite: Suite,
    rival: Rival,
    spec: Spec,
    trial: Trial,
    seeds: tuple[int, ...],
    *,
    per_seed: bool = False,
) -> Suite:
    """A suite of one trial: the method with its options and recipe, on held-out training data."""
    method, study = rival.method, rival.study
    settings = {**suite.method_settings.get(method.plain, {}), **trial.settings}
    # Seeds that are tuned apart share a folder with those that are tuned later.
    together = () if per_seed else seeds
    identity = digest([dataclasses.asdict(suite.settings), settings, spec.identity, together])

    return dataclasses.replace(
        suite,
        name=f"{method.plain}-s{study}-t{trial.number}-{identity[:SHORT]}",
        description=f"trial {trial.number} of {method.name}, study {study}",
        methods=(spec.full,),
        datasets=rival.datasets,
        seeds=seeds,
        settings=dataclasses.replace(suite.settings, evaluate_on="validation"),
        # It would be sampled once for each trial.
        references=(),
        method_settings={**suite.method_settings, method.plain: settings},
        conditions={},
        dataset_conditions={},
    )


def sharded(planned: Sequence[Planned], shard: tuple[int, int] | None) -> Iterator[Planned]:
    """The trials, each with the runs of this shard as its own."""
    if shard is None:
        yield from planned
        return

    # By place, because two trials may have one run, each in its own folder.
    runs = []
    for one in planned:
        for run in one.prepared.runs:
            runs.append(dataclasses.replace(run, name=f"{one.prepared.suite.name}/{run.name}"))
    mine = {run.name for run in shard_of(runs, *shard)}

    for one in planned:
        prepared = one.prepared
        own = [run for run in prepared.runs if f"{prepared.suite.name}/{run.name}" in mine]
        yield dataclasses.replace(one, prepared=dataclasses.replace(prepared, mine=own))


def run_study(study: Study, finished: Callable[[str, Ended], None]) -> int:
    """Do all runs of a study that are not stored; return how many failed, the diverged left out.

    Where seconds limit it, each method that has some left does its next trial, and so on.
    """
    whole = study.all_runs()
    failed = 0
    with workplace(whole) as (device, work):
        whole.contents.remember()

        def ended(job: Job, result: Ended) -> None:
            nonlocal failed
            # A trial that diverges is a trial.
            failed += result.record.status not in ("ok", "diverged")
            finished(job.run.name, result)

        for wave in waves(study):
            todo = []
            for one in wave:
                remember(one.prepared, study)
                todo += due(one.prepared.jobs(device), finished)
            work(todo, finished=ended)
    return failed


def waves(study: Study) -> Iterator[list[Planned]]:
    """The trials to do side by side: all of them, or the next of each method with seconds left."""
    search = study.search
    if search.sampler == SOBOL and not search.seconds:
        yield list(study.planned)
        return

    going = {place: following(study, rival) for place, rival in enumerate(study.rivals)}
    # Of the datasets of a method together.
    payers = [(one.study, one.method.name) for one in study.rivals]
    spent = dict.fromkeys(payers, 0.0)
    while going:
        wave = dict[int, Planned]()
        for place, left in list(going.items()):
            over = search.seconds and spent[payers[place]] >= search.seconds
            one = None if over else next(left, None)
            if one is None:
                del going[place]
            else:
                wave[place] = one

        if wave:
            yield list(wave.values())
        for place, one in wave.items():
            spent[payers[place]] += seconds_of(one)


def following(study: Study, rival: Rival) -> Iterator[Planned]:
    """The trials of a method one after another; each is over when the next is asked for."""
    search = study.search
    if search.sampler == SOBOL:
        own = (rival.study, rival.method.name)
        yield from (one for one in study.planned if (one.study, one.method) == own)
        return

    def nll(trial: Trial) -> float:
        (found,) = tried_in(study.plan(rival, trial))
        return found.nll

    asked = adaptive_trials(rival.method, rival.space, rival.study, search.trials, nll)
    for trial in asked:
        yield study.plan(rival, trial)


def seconds_of(planned: Planned) -> float:
    """Training seconds of all runs of a trial, as their records have them."""
    total = 0.0
    for run in planned.prepared.runs:
        record = run_folder(planned.prepared.folder, run.name).record()
        total += record.train_seconds or 0.0
    return total


def tried_trials(study: Study) -> list[Planned]:
    """The trials that count: all, or those that began before the seconds were spent."""
    counted = list[Planned]()
    for wave in waves(study):
        counted += wave

    # Method by method, as they were planned.
    methods = dict.fromkeys((one.method, one.study) for one in study.planned)
    order = {own: place for place, own in enumerate(methods)}
    return sorted(counted, key=lambda one: (order[one.method, one.study], one.trial.number))


def remember(prepared: Prepared, study: Study) -> None:
    """Write the plan of a trial."""
    choices = prepared.choices
    search = study.search
    command = f"bench-uq tune --suite {Path(choices.suite).name} --trials {search.trials}"
    for name, default in (("studies", 1), ("seed", 0), ("sampler", SOBOL)):
        value = getattr(search, name)
        if value != default:
            command += f" --{name} {value}"
    if search.per_seed:
        command += " --per-seed"

    if choices.network:
        command += f" --network {shlex.quote(shown_network(choices.network))}"
    for assignment in choices.assignments:
        command += f" --set {shlex.quote(assignment)}"

    runs = [dataclasses.replace(run, command=command) for run in prepared.runs]
    facts = about(runs, Plugins(choices.plugins), prepared.contents.remarks)
    merge_plan(prepared.folder, runs, prepared.suite.description, facts, own_files(prepared))
