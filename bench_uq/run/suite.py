"""Run a suite: plan it, train and predict all that is missing, score it."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench_uq.api.architecture_names import shown_network
from bench_uq.api.errors import UsageError
from bench_uq.api.names import parse, plain_name
from bench_uq.plan.about import about
from bench_uq.plan.fingerprints import Contents
from bench_uq.plan.plugins import Plugins, plugin_name
from bench_uq.plan.resolve import Notice
from bench_uq.plan.runs import make_plan
from bench_uq.plan.suite import Suite, at_budget, lineage, read_suite, suite_path
from bench_uq.plan.tuned import (
    TRIALS,
    read_tuned,
    refuse_overridden,
    trials_file,
    tuned_file,
    tuned_suites,
    used_seeds,
)
from bench_uq.run.foreign import refuse_loss
from bench_uq.run.posteriors import Posteriors, read_posteriors, suffices, take
from bench_uq.run.shards import shard_of
from bench_uq.score.published import FILE, Reference, hand_on, read_file
from bench_uq.store import PlannedRun, check_schema, copy_table, merge_plan
from bench_uq.store.budgets import at_budget_name
from bench_uq.store.environment import cores
from bench_uq.store.folders import enclosed
from bench_uq.train.settings import OF_METHODS

if TYPE_CHECKING:
    from bench_uq.run.job import Job
    from bench_uq.run.record import Ended

#: Does jobs and calls ``finished`` with each result: (jobs, finished=) -> None.
Work = Callable[..., None]


@dataclass(frozen=True)
class Cluster:
    """A cluster to run on, as --cluster and its options name it."""

    place: str
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    insecure: bool = False


@dataclass(frozen=True)
class Choices:
    """Everything that the user chooses for a run; empty values leave the choice to the suite."""

    suite: str = "quick"
    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    seeds: tuple[str, ...] = ()
    network: str = ""
    assignments: tuple[str, ...] = ()  # KEY=VALUE
    results: Path = Path("results")
    data_dir: Path = Path("data")
    plugins: tuple[Path, ...] = ()
    budget: float = 1.0  # share of the suite's epochs
    tuned: Path | None = None  # file of what a study chose; an empty path: that of the suite

    device: str = "auto"
    jobs: int | None = None  # runs at a time
    force: bool = False
    checkpoint_every: float = 60.0  # seconds
    timeout: float = math.inf  # seconds per run
    shard: tuple[int, int] | None = None
    cluster: Cluster | None = None

    def read_suite(self) -> Suite:
        """The suite with these choices laid over it."""
        return read_suite(
            self.suite,
            {
                "set": self.assignments,
                "methods": self.methods,
                "datasets": self.datasets,
                "seeds": self.seeds,
                "network": self.network,
            },
        )


@dataclass(frozen=True)
class Prepared:
    """A planned suite; nothing is written yet. ``mine`` are the runs of this shard."""

    choices: Choices
    suite: Suite
    runs: list[PlannedRun]
    mine: list[PlannedRun]
    folder: Path
    contents: Contents
    references: list[Reference]
    posteriors: Posteriors = field(default_factory=Posteriors)

    def jobs(self, device: str) -> list[Job]:
        """One job per run of this shard."""
        from bench_uq.run.job import Job
        from bench_uq.store.environment import git_state

        git, choices = git_state(), self.choices
        make = partial(
            Job,
            folder=self.folder,
            root=choices.data_dir,
            files=choices.plugins,
            device=device,
            git=git,
            force=choices.force,
            checkpoint_every=choices.checkpoint_every,
        )
        return [make(run) for run in self.mine]

    def at_once(self, device: str) -> int:
        """Runs at a time: as the user says, else by the cores and the device."""
        return self.choices.jobs or default_jobs(self.mine, device)


def prepare(choices: Choices, notice: Notice) -> Prepared:
    """Plan a suite and check all of it; ``notice`` is told which conditions are left out."""
    plugins = Plugins(choices.plugins)
    suite = choices.read_suite()
    parts, words = tuned_parts(suite, choices, plugins)
    suite = at_budget(suite, choices.budget)
    references = read_references(suite_path(choices.suite), plugins)
    check_names(references, plugins)

    # A suite that names a file is tuned by itself.
    name = folder_name(suite, choices.budget, tuned=choices.tuned is not None)
    folder = enclosed(choices.results / name)
    contents = Contents(choices.data_dir, choices.results / ".contents.json")
    # Each part of a tuned suite would say the same of the data.
    runs, told = list[PlannedRun](), once(notice)
    for part in parts:
        runs += make_plan(at_budget(part, choices.budget), plugins, contents, told)
    runs = [dataclasses.replace(run, tuned=words) for run in distinct(runs)]

    # Before any training: results of a later version are never overwritten.
    check_schema(folder, [run.name for run in runs])
    mine = shard_of(runs, *choices.shard) if choices.shard else runs
    # They take a moment to read.
    posteriors = Posteriors()
    if any(run.to_compare for run in mine):
        posteriors = read_posteriors(suite_path(choices.suite))
    return Prepared(choices, suite, runs, mine, folder, contents, references, posteriors)


def distinct(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """Each run once; refuse one that two methods are, to which a study gave the same options."""
    # Each part of a tuned suite has planned the reference too; one may ask for it by name.
    planned = dict[str, PlannedRun]()
    for run in runs:
        before = planned.setdefault(run.name, run)
        if before.to_compare:
            planned[run.name] = run
        elif before.method != run.method and not run.to_compare:
            raise UsageError(
                f"{before.method} and {run.method} on {run.dataset} are one run at seed "
                f"{run.seed}: the study chose the same for both (--methods leaves one out)"
            )
    return list(planned.values())


def once(notice: Notice) -> Notice:
    """A notice that tells each text once."""
    told = set[str]()

    def tell(text: str) -> None:
        if text not in told:
            told.add(text)
            notice(text)

    return tell


def tuned_parts(suite: Suite, choices: Choices, plugins: Plugins) -> tuple[list[Suite], str]:
    """The suite in parts with what was chosen for each method, and how in words; else the suite."""
    file = file_of_tuned(suite, choices)
    if file is None:
        return [suite], ""

    tuned = read_tuned(file)
    refuse_overridden(suite, choices.assignments)
    shared = used_seeds(suite, tuned)
    if shared:
        raise UsageError(f"seed {shared[0]} has trained the trials of the study: take another")
    return list(tuned_suites(suite, tuned, plugins)), tuned.words


def file_of_tuned(suite: Suite, choices: Choices) -> Path | None:
    """The file of what was chosen, as the user or the suite names it; None at the defaults."""
    if choices.tuned == Path():
        return tuned_file(choices.results, suite)
    if choices.tuned is None and suite.tuned:
        return Path(suite.tuned)
    return choices.tuned


def folder_name(suite: Suite, budget: float = 1.0, *, tuned: bool = False) -> str:
    """Folder of a suite.

    Scores on other splits, of tuned methods, or at another budget, never mix with its own.
    """
    name = suite.name
    if tuned:
        name = f"{name}-tuned"
    if suite.settings.evaluate_on == "validation":
        name = f"{name}-validation"
    return at_budget_name(name, budget)


def run_suite(
    prepared: Prepared, finished: Callable[[str, Ended], None], *, scored: bool = False
) -> int:
    """Do all runs that are not stored; return the number of runs that failed or lack something.

    ``finished`` is called with the name and the result of each run, those stored before included;
    ``scored`` has runs scored beside those that still train. Raise Stopped when interrupted, and
    SchedulerLost when a cluster is lost.
    """
    # Before any training, and before anything is written.
    refuse_loss(prepared.folder, prepared.runs)
    with ExitStack() as until_done:
        device, work = until_done.enter_context(workplace(prepared))
        # Before the first run, so that a run that dies is known to be missing.
        remember(prepared)
        score = until_done.enter_context(scoring(prepared)) if scored else None
        jobs = prepared.jobs(device)
        take(jobs, prepared.posteriors)
        todo = due(jobs, finished)
        failed = 0

        def ended(job: Job, result: Ended) -> None:
            nonlocal failed
            # A run that is ok with a reason lacks an attack that had nothing to attack.
            failed += result.record.status != "ok" or bool(result.record.reason)
            finished(job.run.name, result)
            if score:
                score(job.run.name)

        work(todo, finished=ended)

    return failed


def scoring(prepared: Prepared) -> AbstractContextManager[Callable[[str], object]]:
    """A function that scores a run of the suite, by its name, beside those that still train."""
    from bench_uq.run.beside import beside

    return beside(prepared.folder, prepared.choices.plugins)


def due(jobs: Iterable[Job], finished: Callable[[str, Ended], None]) -> list[Job]:
    """Jobs that are not stored, or forced; ``finished`` is called with each of the others."""
    from bench_uq.run.job import complete_in
    from bench_uq.run.record import Ended

    todo = []
    for job in jobs:
        folder = job.run_folder(keep=True)
        if job.force or not complete_in(folder, job):
            todo.append(job)
        else:
            finished(job.run.name, Ended(folder.record(), stored=True))
    return todo


def estimates(prepared: Prepared) -> Iterator[tuple[str, float | None]]:
    """Each run with the seconds that it would take; None if it is stored."""
    from bench_uq.run.estimate import estimate, work_of
    from bench_uq.run.job import complete_in

    # Timed once for all seeds that have the same to do.
    timed = dict[tuple[object, ...], float]()
    for job in prepared.jobs(choose_device(prepared.choices.device)):
        seconds = None
        stored = complete_in(job.run_folder(keep=True), job)
        if job.force or not (stored or suffices(job, prepared.posteriors)):
            work = work_of(job)
            if work not in timed:
                timed[work] = estimate(job)
            seconds = timed[work]
        yield job.run.name, seconds


@contextmanager
def workplace(prepared: Prepared) -> Iterator[tuple[str, Work]]:
    """Device of the runs, and the function that does jobs: here in processes, or on a cluster."""
    choices = prepared.choices
    if choices.cluster is None:
        from bench_uq.run.processes import run_all

        device = choose_device(choices.device)
        yield device, partial(run_all, at_once=prepared.at_once(device), timeout=choices.timeout)
        return

    from bench_uq.run.cluster import client, connection

    asked = choices.cluster
    tls = {"ca": asked.ca, "cert": asked.cert, "key": asked.key}
    place = connection.parse_place(asked.place)
    cards = [] if choices.device == "cpu" else connection.gpus()
    # A worker for each GPU, because a GPU takes one run at a time.
    room = len(cards) or default_jobs(prepared.mine, "cpu")

    device = "cpu"
    if place.is_local:
        # Before any worker is started: all of them are here.
        device = device_of(choices.device, bool(cards), "no CUDA device here")
    with connection.connected(place, tls, asked.insecure, room) as dask:
        elsewhere = choices.device != "cpu" and not place.is_local
        there = client.look_at(dask, gpus=elsewhere)
        if elsewhere:
            device = device_of(choices.device, there, "not every worker has a CUDA device")
        on_cluster = partial(client.run_all, dask, prepared.contents)
        yield device, partial(on_cluster, at_once=choices.jobs, timeout=choices.timeout)


def choose_device(name: str) -> str:
    """Device to run on here."""
    import torch

    return device_of(name, torch.cuda.is_available(), "no CUDA device here")


def device_of(name: str, there: bool, lacking: str) -> str:
    """Device that a name stands for: CUDA where it is there and the user does not refuse it."""
    if name == "cuda" and not there:
        raise UsageError(f"{lacking} (--device auto or cpu runs on the CPU)")
    if name == "auto" and there:
        return "cuda"
    if name == "auto":
        return "cpu"
    return name


def default_jobs(runs: list[PlannedRun], device: str) -> int:
    """Runs at a time: as many as the cores allow, and one on a GPU."""
    # A shard beyond the last run has no runs.
    if not runs or device != "cpu":
        return 1

    # The run with the most threads decides, as it may run beside any other.
    threads = max(run.settings["threads"] for run in runs)
    return max(1, min(len(runs), cores() // threads))


def remember(prepared: Prepared) -> None:
    """Write the plan, with the runs of other shards too: a run that is never made is missing."""
    prepared.contents.remember()
    # Published values are of test splits, and of networks that were trained to the end.
    if prepared.suite.settings.evaluate_on == "test" and prepared.choices.budget == 1:
        hand_on(prepared.references, prepared.folder)

    # The report of a tuned suite shows the trials.
    tuned = file_of_tuned(prepared.suite, prepared.choices)
    if tuned:
        copy_table(trials_file(tuned), prepared.folder / TRIALS)

    command = reproducing(prepared.choices, prepared.suite)
    runs = [dataclasses.replace(run, command=command) for run in prepared.runs]
    plugins, remarks = Plugins(prepared.choices.plugins), prepared.contents.remarks
    facts = about(runs, plugins, remarks, prepared.suite.labels)
    merge_plan(prepared.folder, runs, prepared.suite.description, facts, own_files(prepared))


def own_files(prepared: Prepared) -> dict[str, str]:
    """The user's files by name, so that a later change of their code can be seen."""
    files = {plugin_name(path): str(path.absolute()) for path in prepared.choices.plugins}
    for run in prepared.runs:
        if run.network.endswith(".py"):
            files[f"network {run.identity['network']}"] = run.network
    return files


def reproducing(choices: Choices, suite: Suite) -> str:
    """Command that reproduces the runs, without methods, datasets and seeds, which results name.

    Names of methods and datasets hold their options; those of conditions are in the command. Files
    are named by their last part, because results are published.
    """
    parts = ["bench-uq", "run", "--suite", Path(choices.suite).name]
    if choices.network:
        parts += ["--network", shown_network(choices.network)]
    for plugin in choices.plugins:
        parts += ["--plugin", plugin.name]
    if choices.device != "auto":
        parts += ["--device", choices.device]
    if choices.budget != 1:
        parts += ["--budget", f"{choices.budget:g}"]
    if choices.tuned is not None:
        parts += ["--tuned", *filter(None, [choices.tuned.name])]

    conditions = set[str]()
    for part in (suite.conditions, *suite.dataset_conditions.values()):
        conditions.update(map(plain_name, part))
    for assignment in choices.assignments:
        owner, dot, key = assignment.partition("=")[0].strip().rpartition(".")
        # Settings of one method, unlike its options, stand in no name.
        if not dot or owner in conditions or key in OF_METHODS:
            parts += ["--set", assignment]

    return shlex.join(parts)


def read_references(path: Path, plugins: Plugins | None = None) -> list[Reference]:
    """Published values of a suite's file, laid over those of the suites that it extends."""
    metrics = plugins.metrics() if plugins else None
    found: dict[tuple[str, ...], Reference] = {}
    for suite in lineage(path):
        beside = suite.with_name(f"{suite.stem}.{FILE}")
        if beside.is_file():
            found |= {one.key: one for one in read_file(beside, metrics)}
    return list(found.values())


def check_names(references: Iterable[Reference], plugins: Plugins) -> None:
    """Refuse names that results spell otherwise: such a value would never meet its score."""
    for one in references:
        for kind, text in (("method", one.method), ("dataset", one.dataset)):
            if parse(text)[0] not in plugins.names(kind):
                continue
            name = plugins.spec(kind, text).name
            if name != text:
                raise UsageError(f"{FILE}: results call {kind} {text!r} {name!r}")
