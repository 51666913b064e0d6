"""tuned.toml: the options and the recipe that a study chose for each method and dataset."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_uq.api.errors import UsageError
from bench_uq.api.names import plain_name
from bench_uq.plan.fingerprints import SHORT, digest
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.resolve import named, references_of
from bench_uq.plan.search_space import SOBOL
from bench_uq.plan.suite import Suite, check_keys, tabled, toml, typed_settings
from bench_uq.store import Damaged, write_bytes
from bench_uq.store.records import FOR_EACH_SEED, read

FILE = "tuned.toml"
#: All trials, beside it; beside quick.tuned.toml it is quick.trials.csv.
TRIALS = "trials.csv"

#: Dataset, method and seed that were tuned; no seed if all have one choice.
Place = tuple[str, str, int | None]


@dataclass(frozen=True)
class Chosen:
    """The chosen trial of a method on a dataset, both named as in results."""

    method: str
    dataset: str
    name: str  # with the options of the trial
    study: int  # its seed
    trials: int  # of the method in that study
    trial: int
    nll: float  # of held-out examples, mean over the tuning seeds
    default_nll: float  # of trial 0
    study_nlls: tuple[float, ...]  # the lowest of each study
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None  # of the suite that it was chosen for; None for all of them

    @property
    def place(self) -> Place:
        """What it was chosen for."""
        return self.dataset, self.method, self.seed


@dataclass(frozen=True)
class Tuned:
    """What one study or several chose, and how."""

    suite: str
    setup: str  # hash of what the suite and its user set for all trials
    seed: int  # of the first study; others follow
    studies: int
    trials: int  # of each method, or at most
    seconds: float  # of training of each method and study; 0 for no limit
    seeds: tuple[int, ...]  # that trained the trials
    metric: str
    assignments: tuple[str, ...]  # KEY=VALUE that the user set
    chosen: tuple[Chosen, ...]
    sampler: str = SOBOL  # that chose the points
    per_seed: bool = False  # chosen for each seed of the suite apart, on its own training split
    #: Training seconds of all trials by method; not part of the file, which would differ each time.
    cost: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def words(self) -> str:
        """How the options and recipes were chosen, for captions."""
        budget = f"{self.trials} trials each"
        if self.seconds:
            budget = f"{self.seconds:g} s of training each"
        if self.sampler != SOBOL:
            budget += f" by {self.sampler.upper()}"
        if self.studies > 1:
            budget += f", the median of {self.studies} studies"

        metric = self.metric.upper()
        if self.per_seed:
            # Names and recipes do not tell two studies apart.
            study = digest([self.setup, self.seed, self.studies])[:SHORT]
            told = f"{FOR_EACH_SEED}: {budget}, validation {metric} (study {study})"
            return ", ".join([told, *self.assignments])
        seeds = f"{len(self.seeds)} seed{'s' if len(self.seeds) > 1 else ''}"
        told = f"tuned: {budget}, validation {metric} over {seeds}"
        return ", ".join([told, *self.assignments])


def tuned_file(results: Path, suite: Suite) -> Path:
    """File of what was chosen for a suite."""
    return results / suite.name / FILE


def trials_file(tuned: Path) -> Path:
    """File of all trials, beside the file of what was chosen."""
    return tuned.with_name(tuned.name.removesuffix(FILE) + TRIALS)


def write_tuned(path: Path, tuned: Tuned) -> None:
    """Write the file, the same bytes for the same choice."""
    body = body_of(tuned)
    head = f"# Written by bench-uq tune; read by bench-uq run --suite {tuned.suite} --tuned"
    write_bytes(path, f'{head}\nhash = "{hash_of(body)}"\n{body}'.encode())


def body_of(tuned: Tuned) -> str:
    """The text of the file, without its head."""
    table = dataclasses.asdict(tuned)
    # Seconds differ each time.
    del table["cost"]
    # As files are that know of one sampler alone.
    if tuned.sampler == SOBOL:
        del table["sampler"]
    if not tuned.per_seed:
        del table["per_seed"]
    chosen = table.pop("chosen")

    lines = [f"{name} = {_toml(value)}" for name, value in table.items()]
    for one in chosen:
        lines += ["", "[[chosen]]"]
        for name, value in one.items():
            # TOML has no word for what is not there.
            if value is not None:
                lines.append(f"{name} = {_toml(value)}")
    return "\n".join([*lines, ""])


def hash_of(text: str) -> str:
    """Hash of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _toml(value: Any) -> str:
    """A value in TOML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {_toml(part)}" for name, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    # The strings of JSON, without escapes of other letters, are strings of TOML.
    return json.dumps(value, ensure_ascii=False)


def read_tuned(path: Path) -> Tuned:
    """Read a file of chosen trials; it must be as it was written."""
    if not path.is_file():
        raise UsageError(f"no {path}: bench-uq tune writes it")
    table = toml(path)
    told = table.pop("hash", None)
    check_keys(path.name, table, names_of(Tuned))

    for part in table.get("chosen", []):
        check_keys(f"chosen of {path.name}", tabled("chosen", part), names_of(Chosen))

    try:
        tuned: Tuned = read(Tuned, table)
    except Damaged as error:
        raise UsageError(f"{path}: {error}") from None
    chosen = []
    for one in tuned.chosen:
        chosen.append(dataclasses.replace(one, settings=typed_settings(one.settings)))
    tuned = dataclasses.replace(tuned, chosen=tuple(chosen))

    # What nobody has tuned must not be called tuned.
    if told != hash_of(body_of(tuned)):
        raise UsageError(
            f"{path} is not as bench-uq tune wrote it: its hash differs (tune again, or write "
            "settings of your own into a suite)"
        )
    return tuned


def names_of(cls: type[Tuned] | type[Chosen]) -> list[str]:
    """Names of the fields of a dataclass."""
    return [one.name for one in dataclasses.fields(cls)]


def tuned_suites(suite: Suite, tuned: Tuned, plugins: Plugins) -> Iterator[Suite]:
    """The suite in parts, one for each method and dataset, with what was chosen for them.

    If it was chosen for each seed apart, so are the parts. References stay as they are.
    """
    known = {one.place: one for one in tuned.chosen}
    references = {one.name for one in references_of(suite, plugins)}
    for dataset in suite.datasets:
        place = named(plugins, suite, "dataset", dataset).name
        for method in suite.methods:
            name = named(plugins, suite, "method", method).name
            if name in references:
                yield dataclasses.replace(suite, methods=(method,), datasets=(dataset,))
                continue
            for seeds, seed in seeds_apart(suite.seeds, apart=tuned.per_seed):
                if (place, name, seed) not in known:
                    raise not_tuned(place, name, seed, tuned)
                part = part_of(suite, known[place, name, seed], plain_name(method), dataset)
                yield dataclasses.replace(part, seeds=seeds)


def seeds_apart(seeds: tuple[int, ...], *, apart: bool) -> list[tuple[tuple[int, ...], int | None]]:
    """The seeds that a choice is for, and the seed that names it; None if all share one."""
    if apart:
        return [((seed,), seed) for seed in seeds]
    return [(seeds, None)]


def not_tuned(dataset: str, method: str, seed: int | None, tuned: Tuned) -> UsageError:
    """The error of a method that a study did not tune, with the command that does."""
    command = ["bench-uq", "tune", "--suite", tuned.suite]
    command += ["--methods", method, "--datasets", dataset]
    where = f"{method} on {dataset}"
    if seed is not None:
        command += ["--per-seed", "--seeds", str(seed), "--trials", str(tuned.trials)]
        where += f", seed {seed},"
    return UsageError(f"{where} was not tuned: {shlex.join(command)}")


def part_of(suite: Suite, chosen: Chosen, plain: str, dataset: str) -> Suite:
    """The suite of one method and dataset, as it was chosen."""
    settings = {**suite.method_settings, plain: chosen.settings}
    # Seeds with options of their own are one method, which has the name that the suite gives it.
    called = {}
    if chosen.seed is not None:
        called[chosen.name] = chosen.method
    # The name says all: an option that it leaves out has the plugin's default, not the suite's.
    options = {name: part for name, part in suite.options.items() if name != plain}

    return dataclasses.replace(
        suite,
        methods=(chosen.name,),
        datasets=(dataset,),
        method_settings=settings,
        options=options,
        called=called,
        untuned=suite,
    )


def refuse_overridden(suite: Suite, assignments: Iterable[str]) -> None:
    """Refuse --set METHOD.NAME for a method of a tuned suite: it would change nothing."""
    tuned = set(map(plain_name, suite.methods)) - set(map(plain_name, suite.references))
    for assignment in assignments:
        method, dot, _ = assignment.partition("=")[0].strip().rpartition(".")
        if dot and method in tuned:
            raise UsageError(
                f"--set {assignment}: {method} has what the study chose, or its defaults (with "
                "bench-uq tune it holds for all trials)"
            )


def used_seeds(suite: Suite, tuned: Tuned) -> Sequence[int]:
    """Seeds of a suite that the study has trained with, which would flatter what it chose.

    Where it chose for each seed apart there are none: no choice is by another seed.
    """
    if tuned.per_seed:
        return []
    return sorted(set(suite.seeds) & set(tuned.seeds))
