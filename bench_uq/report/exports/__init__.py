"""Runs of a suite with their settings and scores, for Parquet, MLflow and Weights & Biases.

Each target is an extra, and reads the derived files of the suite alone.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench_uq.api.errors import UsageError
from bench_uq.score.results import read_runs, require_folder
from bench_uq.store import check_schema, derived

#: Columns of runs.csv that say what was run.
SETTINGS = (
    "method dataset seed method_full dataset_full network epochs draws batch validation "
    "train_images test_images attack_images shift_images evaluate_on precision block threads "
    "learning_rate schedule warmup weight_decay clip trained_on held_out tested_on"
)
#: Those that say what it took: seconds, bytes, numbers of weights.
COSTS = "parameters train_seconds base_seconds predict_seconds seconds_per_1000 peak_memory"
#: Those that say where a run comes from, and what became of it.
FACTS = "run status reason diagnosis left_out command environment data labels facts reference"


@dataclass(frozen=True)
class ExportedRun:
    """One run as tools of others take it, with plain values; what is not known is left out.

    ``scores`` are called ``condition/level/metric``, or ``condition/metric`` without a level, and
    hold the costs as ``cost/seconds``. Characters that MLflow refuses are replaced.
    """

    suite: str
    name: str
    settings: Mapping[str, str | float]
    facts: Mapping[str, str]
    scores: Mapping[str, float]

    @property
    def finished(self) -> bool:
        """Whether the run ended well."""
        return self.facts["status"] == "ok"

    @property
    def digest(self) -> str:
        """Hash of all that the run holds."""
        # NaN is written as such, which is fine for a hash.
        text = json.dumps([self.suite, dict(self.settings), dict(self.facts), dict(self.scores)])
        return hashlib.sha256(text.encode()).hexdigest()


def tables(suite: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The runs of a suite and their scores, as its derived files hold them."""
    require_folder(suite)
    check_schema(suite)
    return read_runs(suite), derived.table(derived.scores_file(suite))


def exported(suite: Path) -> list[ExportedRun]:
    """All runs of a suite, those that failed included, in the order of runs.csv."""
    runs, scores = tables(suite)
    details = derived.environments(suite / "environment.json")
    of_run = dict(iter(scores.groupby("run", observed=True)))

    found = []
    for row in runs.to_dict("records"):
        facts = {name: str(row[name]) for name in FACTS.split() if row[name]}
        # The fingerprint alone tells nothing outside of the suite.
        if known := details.get(facts.get("environment", "")):
            facts["environment"] = json.dumps(known, sort_keys=True)
        one = ExportedRun(
            suite=suite.resolve().name,
            name=str(row["run"]),
            settings=known_of(row, SETTINGS.split()),
            facts=facts,
            scores=scores_of(row, of_run.get(row["run"], scores.iloc[:0])),
        )
        found.append(one)
    return found


def known_of(row: Mapping[Any, Any], names: Collection[str]) -> dict[str, str | float]:
    """Values of some columns that are known, whole numbers as such."""
    found = dict[str, str | float]()
    for name in names:
        value = row[name]
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value == "" or (isinstance(value, float) and math.isnan(value)):
            continue
        found[name] = value
    return found


def scores_of(row: Mapping[Any, Any], scores: pd.DataFrame) -> dict[str, float]:
    """The scores of one run and its costs, by the names under which they are exported."""
    found = {f"cost/{name}": float(value) for name, value in known_of(row, COSTS.split()).items()}
    columns = ["condition", "level", "metric", "value"]
    for condition, level, metric, value in scores[columns].itertuples(index=False):
        parts = [condition, metric] if math.isnan(level) else [condition, f"{level:.12g}", metric]
        name = "/".join(map(plain, parts))
        if name in found:
            raise UsageError(f"two scores of {row['run']} would be called {name!r}")
        found[name] = float(value)
    return found


def plain(text: str) -> str:
    """A name in the characters that MLflow takes: ``pgd[draws=1]`` becomes ``pgd draws 1``."""
    # Older servers refuse a colon, too.
    spaced = text.translate({ord("]"): None, **dict.fromkeys(map(ord, "[,="), " ")})
    return re.sub(r"[^\w.\- ]", "_", spaced)


def require(package: str, option: str, extra: str) -> Any:
    """A package behind an option, which comes with an extra."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        # A package that is there may lack one of its own.
        missing = getattr(error, "name", None) or package
        raise UsageError(f"{option} needs {missing}: pip install 'bench-uq[{extra}]'") from None
