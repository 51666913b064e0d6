"""tuned.toml: the options and the recipe that a study chose for each method and dataset."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_uq.api.errors import UsageError
from bench_uq.api.names import plain_name
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.resolve import named
from bench_uq.plan.search_space import SOBOL
from bench_uq.plan.suite import Suite, check_keys, tabled, toml, typed_settings
from bench_uq.store import Damaged, write_bytes
from bench_uq.store.records import read

FILE = "tuned.toml"
#: All trials, beside it; beside quick.tuned.toml it is quick.trials.csv.
TRIALS = "trials.csv"


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

    @property
    def place(self) -> tuple[str, str]:
        """What it was chosen for."""
        return self.dataset, self.method


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

        seeds = f"{len(self.seeds)} seed{'s' if len(self.seeds) > 1 else ''}"
        told = f"tuned: {budget}, validation {self.metric.upper()} over {seeds}"
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
    chosen = table.pop("chosen")

    lines = [f"{name} = {_toml(value)}" for name, value in table.items()]
    for one in chosen:
        lines += ["", "[[chosen]]"]
        for name, value in one.items():
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
    """The suite in parts, one for each method and dataset, with what was chosen for them."""
    known = {(one.method, one.dataset): one for one in tuned.chosen}
    for dataset in suite.datasets:
        for method in suite.methods:
            place = (
                named(plugins, suite, "method", method).name,
                named(plugins, suite, "dataset", dataset).name,
            )
            if place not in known:
                command = ["bench-uq", "tune", "--methods", place[0], "--datasets", place[1]]
                raise UsageError(f"{place[0]} on {place[1]} was not tuned: {shlex.join(command)}")
            yield part_of(suite, known[place], plain_name(method), dataset)


def part_of(suite: Suite, chosen: Chosen, plain: str, dataset: str) -> Suite:
    """The suite of one method and dataset, as it was chosen."""
    settings = {**suite.method_settings, plain: chosen.settings}
    # The name says all: an option that it leaves out has the plugin's default, not the suite's.
    options = {name: part for name, part in suite.options.items() if name != plain}

    return dataclasses.replace(
        suite,
        methods=(chosen.name,),
        datasets=(dataset,),
        method_settings=settings,
        options=options,
    )


def used_seeds(suite: Suite, tuned: Tuned) -> Sequence[int]:
    """Seeds of a suite that the study has trained with, which would flatter what it chose."""
    return sorted(set(suite.seeds) & set(tuned.seeds))
