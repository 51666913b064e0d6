"""tuned.toml: the options and the recipe that a study chose for each method and dataset."""

from __future__ import annotations

import dataclasses
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
from bench_uq.plan.suite import Suite, check_keys, tabled, toml, typed_settings
from bench_uq.store import Damaged, write_bytes
from bench_uq.store.records import read

FILE = "tuned.toml"


@dataclass(frozen=True)
class Chosen:
    """The chosen trial of a method on a dataset, both named as in results."""

    method: str
    dataset: str
    name: str  # with the options of the trial
    trial: int
    nll: float  # of held-out examples, mean over the tuning seeds
    default_nll: float  # of trial 0
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tuned:
    """What a study chose, and how."""

    suite: str
    study: int  # its seed
    trials: int  # of each method
    seeds: tuple[int, ...]  # that trained the trials
    metric: str
    chosen: tuple[Chosen, ...]
    #: Training seconds of all trials by method; not part of the file, which would differ each time.
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def words(self) -> str:
        """How the options and recipes were chosen, for captions."""
        seeds = f"{len(self.seeds)} seed{'s' if len(self.seeds) > 1 else ''}"
        return f"tuned: {self.trials} trials each, validation {self.metric.upper()} over {seeds}"


def tuned_file(results: Path, suite: Suite) -> Path:
    """File of what was chosen for a suite."""
    return results / suite.name / FILE


def write_tuned(path: Path, tuned: Tuned) -> None:
    """Write the file, the same bytes for the same choice."""
    lines = [
        f"# Written by bench-uq tune; read by bench-uq run --suite {tuned.suite} --tuned",
        f"suite = {_toml(tuned.suite)}",
        f"study = {tuned.study}",
        f"trials = {tuned.trials}",
        f"seeds = {_toml(list(tuned.seeds))}",
        f"metric = {_toml(tuned.metric)}",
    ]
    for one in tuned.chosen:
        lines += ["", "[[chosen]]"]
        for name, value in dataclasses.asdict(one).items():
            lines.append(f"{name} = {_toml(value)}")
    write_bytes(path, ("\n".join(lines) + "\n").encode())


def _toml(value: Any) -> str:
    """A value in TOML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {_toml(part)}" for name, part in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    # The strings of JSON, without escapes of other letters, are strings of TOML.
    return json.dumps(value, ensure_ascii=False)


def read_tuned(path: Path) -> Tuned:
    """Read a file of chosen trials."""
    if not path.is_file():
        raise UsageError(f"no {path}: bench-uq tune writes it")
    table = toml(path)
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
    return dataclasses.replace(tuned, chosen=tuple(chosen))


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
