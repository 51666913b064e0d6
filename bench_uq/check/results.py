"""Results to compare: the scores of a suite's folder or of a baseline, and the runs behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from bench_uq import store
from bench_uq.api.errors import UsageError, unknown
from bench_uq.score.likeness import COPY, FACTS, contrast
from bench_uq.score.results import read_runs
from bench_uq.score.stale import stale
from bench_uq.store import derived
from bench_uq.store.about import ABOUT, About

#: Dataset, method, seed.
RunKey = tuple[str, str, int]
#: The columns that identify a score, except the seed.
CELL = ["dataset", "method", "condition", "level", "metric"]
#: The facts of a run that runs.csv names and a baseline keeps.
SETTINGS = tuple(name for name in FACTS if name not in ("run", "predictions"))


@dataclass(frozen=True)
class Run:
    """How a run ended and how it was made; unknown fields are empty."""

    name: str  # of its folder
    status: str = "ok"
    reason: str = ""
    environment: str = ""  # fingerprint
    settings: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""


@dataclass(frozen=True, eq=False)
class SuiteResults:
    """Scores, one row per seed, with their runs and the environments by fingerprint."""

    name: str
    scores: pd.DataFrame = field(repr=False)  # the columns of scores.csv except run
    runs: Mapping[RunKey, Run]
    environments: Mapping[str, Mapping[str, Any]]
    about: About = field(default_factory=About, repr=False)

    stale: Mapping[RunKey, tuple[str, ...]] = field(default_factory=dict, repr=False)
    left_out: Mapping[RunKey, str] = field(default_factory=dict, repr=False)  # runs that are copies

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """Dataset and method of all runs."""
        return {key[:2] for key in self.runs}

    def on_cpu(self, key: RunKey) -> str | None:
        """Fingerprint of a run's environment if that is known to be a CPU, else None."""
        run = self.runs.get(key)
        if run and self.environments.get(run.environment, {}).get("device") == "cpu":
            return run.environment
        return None


def unlike(first: SuiteResults, second: SuiteResults) -> dict[RunKey, dict[str, tuple[str, str]]]:
    """The facts in which runs that both have differ, except their code."""
    found = {}
    for key in first.runs.keys() & second.runs.keys():
        differing = contrast(first.runs[key].settings, second.runs[key].settings)
        if differing:
            found[key] = differing
    return found


def narrowed(
    compared: Sequence[SuiteResults], methods: Sequence[str], datasets: Sequence[str]
) -> list[SuiteResults]:
    """Narrow results to methods and datasets, each in at least one of them; empty means all."""
    narrow = list(compared)
    for kind, place, asked in (("dataset", 0, datasets), ("method", 1, methods)):
        # Names known to any of them are no mistake: that one lacks a method is a finding.
        known = set[str]()
        for results in compared:
            known.update(pair[place] for pair in results.pairs)
        for name in asked:
            if name not in known:
                raise unknown(f"{kind} in {' or '.join(one.name for one in compared)}", name, known)

        for index, results in enumerate(narrow):
            if asked:
                scores = results.scores[results.scores[kind].isin(asked)].reset_index(drop=True)
                runs = {key: run for key, run in results.runs.items() if key[place] in asked}
                narrow[index] = replace(results, scores=scores, runs=runs)
    return narrow


def read_results(path: Path) -> SuiteResults:
    """Read a suite's folder or a baseline's CSV file."""
    if path.is_dir():
        return read_folder(path)
    if path.suffix == ".csv" and path.is_file():
        return read_baseline(path)
    raise UsageError(f"{path} is neither a suite's folder of results nor a baseline's CSV file")


def read_folder(folder: Path, plugins: Sequence[Path] = ()) -> SuiteResults:
    """Read a suite's folder, without the scores of unfinished runs and of copies.

    ``plugins`` are files of the user, whose present code counts.
    """
    store.check_schema(folder)

    runs, out = {}, dict[RunKey, str]()
    for row in read_runs(folder).to_dict("records"):
        # Each run is compared with that of its seed; only copies say nothing.
        if row["left_out"].startswith(COPY):
            out[row["dataset"], row["method"], row["seed"]] = row["left_out"]
            continue
        runs[row["dataset"], row["method"], row["seed"]] = Run(
            name=row["run"],
            status=row["status"],
            reason=row["reason"],
            environment=row["environment"],
            settings={name: _setting(row[name]) for name in SETTINGS},
            command=row["command"],
        )

    # A run may have failed after some of its evaluations.
    scores = _scores(derived.table(derived.scores_file(folder)))
    finished = {run.name for run in runs.values() if run.status == "ok"}
    scores = scores[scores["run"].isin(finished)].drop(columns="run").reset_index(drop=True)
    environments = derived.environments(folder / "environment.json")
    about = derived.about(folder / ABOUT)
    changed = stale(folder, plugins)
    return SuiteResults(str(folder), scores, runs, environments, about, changed, out)


def read_baseline(path: Path) -> SuiteResults:
    """Read a baseline; without the file beside it environments and settings are unknown."""
    scores = _scores(derived.table(path, "scores.csv"))
    facts = _facts(beside(path))
    # Facts of versions before the checksum have none to compare.
    if "sha256" in facts and not store.unchanged(path, facts["sha256"]):
        error = ValueError(f"its checksum is not that in {beside(path).name}")
        raise derived.damaged(path, error, "baseline")

    keys = scores[["dataset", "method", "seed", "run"]].drop_duplicates()
    known: dict[str, dict[str, Any]] = facts.get("runs", {})
    runs = {}
    # A baseline holds finished runs alone, so that their rows name all of them.
    for dataset, method, seed, name in keys.itertuples(index=False, name=None):
        fact = known.get(name, {})
        runs[dataset, method, seed] = Run(
            name,
            environment=fact.get("environment", ""),
            settings={key: fact.get(key) for key in SETTINGS},
            command=fact.get("command", ""),
        )

    environments = {each["id"]: each for each in facts.get("environments", [])}
    return SuiteResults(str(path), scores.drop(columns="run"), runs, environments)


def beside(path: Path) -> Path:
    """The file that holds the environments of a baseline."""
    return path.with_suffix(".environment.json")


def _facts(path: Path) -> dict[str, Any]:
    """Runs and environments of a baseline; empty without the file."""
    try:
        facts = store.parsed(path.read_bytes())

        for run in facts["runs"].values():
            if not isinstance(run, dict) or not isinstance(run.get("environment", ""), str):
                raise ValueError("a run is not a table")
        for environment in facts["environments"]:
            if not isinstance(environment["id"], str):
                raise ValueError("an environment has no id")
        return dict(facts)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise derived.damaged(path, error, "baseline") from None


def _scores(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores with names as plain text."""
    # Categories of two files do not merge.
    names = ["dataset", "method", "condition", "metric", "run"]
    return frame.astype(dict.fromkeys(names, "object"))


def _setting(value: Any) -> Any:
    """A setting as JSON has it: whole numbers as integers, None if unknown."""
    if not isinstance(value, float):
        return value or None
    # Numbers are read as float64, because a column of integers holds no NaN.
    if math.isnan(value):
        return None
    return int(value) if value.is_integer() else value
