"""One side of a comparison: the scores of a suite's folder or of a baseline, and what is known of its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from bench_uq import store
from bench_uq.api.errors import UsageError, unknown
from bench_uq.store import derived

#: What a run is of: dataset, method, seed.
RunKey = tuple[str, str, int]
#: What tells one score from another, the seed aside.
CELL = ["dataset", "method", "condition", "level", "metric"]
#: The settings of a run that runs.csv names and a baseline keeps.
SETTINGS = ("network", "epochs", "draws")


@dataclass(frozen=True)
class Run:
    """How a run ended and what it was made with; what is not known is empty."""

    name: str  # of its folder
    status: str = "ok"
    reason: str = ""
    environment: str = ""  # fingerprint
    settings: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""


@dataclass(frozen=True, eq=False)
class Side:
    """Scores, one row a seed, with the runs behind them and their environments by fingerprint."""

    name: str
    scores: pd.DataFrame = field(repr=False)  # the columns of scores.csv but run
    runs: Mapping[RunKey, Run]
    environments: Mapping[str, Mapping[str, Any]]

    def of(self, methods: Sequence[str] = (), datasets: Sequence[str] = ()) -> Side:
        """Return this side narrowed to some methods and datasets, whether it has them or not; to all where empty."""
        scores, runs = self.scores, dict(self.runs)
        for column, place, asked in (("dataset", 0, datasets), ("method", 1, methods)):
            if asked:
                scores = scores[scores[column].isin(asked)]
                runs = {key: run for key, run in runs.items() if key[place] in asked}
        return replace(self, scores=scores.reset_index(drop=True), runs=runs)

    def on_cpu(self, key: RunKey) -> str | None:
        """Return the fingerprint of a run's environment where that is a known one with a CPU, else None."""
        run = self.runs.get(key)
        facts = self.environments.get(run.environment) if run else None
        return run.environment if run and facts and facts.get("device") == "cpu" else None


def narrowed(sides: Sequence[Side], methods: Sequence[str], datasets: Sequence[str]) -> list[Side]:
    """Return sides narrowed to methods and datasets that one of them has; an unknown one answers with the known."""
    for kind, place, asked in (("dataset", 0, datasets), ("method", 1, methods)):
        known = {str(key[place]) for side in sides for key in side.runs}
        for name in asked:
            if name not in known:
                raise unknown(f"{kind} in {' or '.join(side.name for side in sides)}", name, known)
    return [side.of(methods, datasets) for side in sides]


def read_side(path: Path) -> Side:
    """Return what a suite's folder holds, or a baseline: a CSV file with its environment beside it."""
    if path.is_dir():
        return read_folder(path)
    if path.suffix == ".csv" and path.is_file():
        return read_baseline(path)
    raise UsageError(f"{path} is neither a suite's folder of results nor a baseline's CSV file")


def read_folder(folder: Path) -> Side:
    """Return what a suite's folder holds; scores of runs that did not finish are no scores."""
    store.check_schema(folder)
    rows = derived.table(folder / "runs.csv").to_dict("records")
    runs = {
        (row["dataset"], row["method"], row["seed"]): Run(
            name=row["run"],
            status=row["status"],
            reason=row["reason"],
            environment=row["environment"],
            settings={name: _setting(row[name]) for name in SETTINGS},
            command=row["command"],
        )
        for row in rows
    }
    scores = _scores(derived.table(folder / "scores.csv"))
    finished = {run.name for run in runs.values() if run.status == "ok"}
    scores = scores[scores["run"].isin(finished)]
    environments = derived.environments(folder / "environment.json")
    return Side(str(folder), scores.drop(columns="run").reset_index(drop=True), runs, environments)


def read_baseline(path: Path) -> Side:
    """Return what a baseline holds; without the file beside it nothing is known of environments and settings."""
    scores = _scores(derived.table(path, "scores.csv"))
    keys = (
        scores[["dataset", "method", "seed", "run"]]
        .drop_duplicates()
        .itertuples(index=False, name=None)
    )
    facts = _facts(beside(path))
    if facts.get("sha256") not in (None, store.sha256(path)):
        raise derived.damaged(
            path, ValueError(f"its checksum is not that in {beside(path).name}"), "baseline"
        )
    known: dict[str, dict[str, Any]] = facts.get("runs", {})
    runs = {}
    for dataset, method, seed, name in keys:
        of = known.get(name, {})
        settings = {key: of.get(key) for key in SETTINGS}
        runs[dataset, method, seed] = Run(
            name,
            environment=of.get("environment", ""),
            settings=settings,
            command=of.get("command", ""),
        )
    environments = {one["id"]: one for one in facts.get("environments", [])}
    return Side(str(path), scores.drop(columns="run"), runs, environments)


def beside(path: Path) -> Path:
    """Return the file that holds the environments of a baseline."""
    return path.with_suffix(".environment.json")


def _facts(path: Path) -> dict[str, Any]:
    """Return what a baseline says of its runs; empty without the file."""
    try:
        facts = store.parsed(path.read_bytes())
        runs, environments = facts["runs"], facts["environments"]
        if not all(
            isinstance(one, dict) and isinstance(one.get("environment", ""), str)
            for one in runs.values()
        ):
            raise ValueError("a run is no table")
        if not all(isinstance(one["id"], str) for one in environments):
            raise ValueError("an environment has no id")
        return dict(facts)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise derived.damaged(path, error, "baseline") from None


def _scores(frame: pd.DataFrame) -> pd.DataFrame:
    """Return scores with names as plain text, so that those of two files can be laid side by side."""
    return frame.astype(
        dict.fromkeys(["dataset", "method", "condition", "metric", "run"], "object")
    )


def _setting(value: Any) -> Any:
    """Return a setting as JSON has it: whole numbers as such, None where nothing is known."""
    if isinstance(value, float):
        return int(value) if value.is_integer() else None if value != value else value
    return value or None
