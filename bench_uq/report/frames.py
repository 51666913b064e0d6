"""Read the derived files of a suite; damaged or foreign ones are told in one line."""

from __future__ import annotations

import csv
import difflib
import io
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from bench_uq.errors import UsageError
from bench_uq.references import FILE, Reference, read_file

COLUMNS = {
    "runs.csv": "run method dataset seed status reason converged parameters train_seconds predict_seconds peak_memory "
    "environment",
    "scores.csv": "dataset method seed condition level metric value run",
    "curves.csv": "dataset method seed condition level curve x y run",
}
NUMBERS = {"seed", "level", "value", "x", "y", "parameters", "train_seconds", "predict_seconds", "peak_memory"}
ALLOWED = {
    "status": {"ok", "failed", "diverged", "oom", "interrupted", "missing"},
    "converged": {"True", "False", ""},
}
#: The status of a run that no plan asks for any more; another run may have its method, dataset and seed.
SUPERSEDED = "superseded"
#: What may stand in a file only once, or a mean over seeds would count it twice.
KEYS = {
    "runs.csv": ["dataset", "method", "seed"],
    "scores.csv": ["dataset", "method", "seed", "condition", "level", "metric"],
    "curves.csv": ["dataset", "method", "seed", "condition", "level", "curve", "x"],
}
#: The methods that stand first, in this order, before the others in alphabetical order.
FIRST_METHODS = ("map", "dropout", "ensemble", "mean-field", "mnf")


@dataclass(frozen=True)
class Seeds:
    """How many seeds of a method were planned, how many finished, and of those how many had not converged.

    Of what was trained elsewhere this is ``unknown``.
    """

    planned: int
    finished: int
    unconverged: int
    unknown: int = 0

    @property
    def complete(self) -> bool:
        """Tell whether every planned seed finished."""
        return self.planned == self.finished

    def __str__(self) -> str:
        return str(self.finished) if self.complete else f"{self.finished}/{self.planned}"


@dataclass(frozen=True)
class Results:
    """The derived files of one suite, or of one of its datasets; scores and curves of finished runs only."""

    suite: str
    runs: pd.DataFrame
    scores: pd.DataFrame
    curves: pd.DataFrame
    references: tuple[Reference, ...] = ()  # published values, of whatever methods

    @property
    def datasets(self) -> list[str]:
        """Return the names of the datasets, those with nothing but failed runs included."""
        return sorted(self.runs["dataset"].unique())

    @property
    def methods(self) -> list[str]:
        """Return the names of the methods in the order in which tables and figures show them."""
        rank = {name: place for place, name in enumerate(FIRST_METHODS)}
        return sorted(self.runs["method"].unique(), key=lambda name: (rank.get(name, len(rank)), name))

    def on(self, dataset: str) -> Results:
        """Return the results on one dataset."""
        runs, scores, curves = (frame[frame["dataset"] == dataset] for frame in (self.runs, self.scores, self.curves))
        references = tuple(one for one in self.references if one.dataset == dataset)
        return replace(self, runs=runs, scores=scores, curves=curves, references=references)

    def seeds(self, method: str) -> Seeds:
        """Count the runs of a method; meant for the results on one dataset."""
        runs = self.runs[self.runs["method"] == method]
        finished = runs[runs["status"] == "ok"]
        counts = (int((finished["converged"] == value).sum()) for value in ("False", ""))
        return Seeds(len(runs), len(finished), *counts)


def read(suite: Path) -> Results:
    """Read runs.csv, scores.csv and curves.csv of the folder of a suite, and reference.csv where there is one."""
    if not suite.is_dir():
        there = [path.name for path in suite.parent.glob("*") if path.is_dir()]
        near = difflib.get_close_matches(suite.name, there, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"missing folder {suite}{hint} (make it with: bench-uq run)")
    runs, scores, curves = (_table(suite / name) for name in COLUMNS)
    if runs.empty:
        raise UsageError(f"{suite / 'runs.csv'} holds no runs (make them with: bench-uq run)")
    return Results(
        suite=suite.resolve().name,
        runs=runs,
        scores=_finished(scores, runs, suite / "scores.csv"),
        curves=_finished(curves, runs, suite / "curves.csv"),
        references=tuple(read_file(suite / FILE)) if (suite / FILE).is_file() else (),
    )


def _table(path: Path) -> pd.DataFrame:
    """Read one derived file: text as it stands, numbers as floats with NaN where nothing is written."""
    try:
        text = path.read_bytes().decode("utf-8")
        records = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        table = _columns(path.name, records)
        if not text.endswith("\n"):
            raise ValueError("its last line is cut short")
    except FileNotFoundError:
        raise UsageError(f"missing {path} (make it with: bench-uq score)") from None
    except (OSError, ValueError, csv.Error) as error:
        reason = " ".join(str(error).split()) or "it cannot be read"
        raise UsageError(f"{path} is damaged or foreign: {reason} (make it anew with: bench-uq score)") from None
    return table


def _columns(name: str, records: list[list[str]]) -> pd.DataFrame:
    """Return the rows of a file as a frame with exactly the known columns, after looking at every field."""
    header, *rows = records or [[]]
    known = COLUMNS[name].split()
    for column in known:
        if column not in header:
            raise ValueError(f"it has no column {column!r}")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ValueError(f"record {number} has {len(row)} fields, not {len(header)}")
    if "status" in known:
        rows = [row for row in rows if row[header.index("status")] != SUPERSEDED]
    fields = {column: [row[header.index(column)] for row in rows] for column in known}
    table = pd.DataFrame({column: _typed(column, values) for column, values in fields.items()})
    repeated = table.duplicated(KEYS[name])
    if repeated.any():
        twice = table.loc[repeated, KEYS[name]].iloc[0]
        raise ValueError(f"it holds twice: {', '.join(map(str, twice))}")
    return table


def _typed(column: str, fields: list[str]) -> pd.Series:
    """Return a column as text or numbers; seeds and places on an x axis are never missing."""
    if column in ALLOWED:
        for strange in sorted(set(fields) - ALLOWED[column]):
            raise ValueError(f"{column} {strange!r} is not one of {', '.join(sorted(filter(None, ALLOWED[column])))}")
    if column == "seed":
        return pd.Series([int(field) for field in fields], dtype="int64")
    if column not in NUMBERS:
        return pd.Series(fields, dtype="str")
    numbers = pd.Series([float(field or "nan") for field in fields], dtype="float64")
    if column == "x" and numbers.isna().any():
        raise ValueError("an x is missing")
    return numbers


def _finished(table: pd.DataFrame, runs: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the rows of finished runs, after seeing that every row belongs to a run that is listed."""
    key = ["dataset", "method", "seed", "run"]
    known = table.merge(runs[[*key, "status"]], on=key, how="left")
    for strange in sorted(set(known.loc[known["status"].isna(), "run"])):
        raise UsageError(f"{path}: run {strange!r} is not the one in runs.csv (make both anew with: bench-uq score)")
    finished = table[(known["status"] == "ok").to_numpy()].reset_index(drop=True)
    # Categories compare twenty times as fast as text, and figures select curves hundreds of times.
    return finished.astype({name: "category" for name in finished.columns if name not in NUMBERS})
