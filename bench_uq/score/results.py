"""The derived files of a suite as one object, whole or narrowed to some of its methods, datasets and metrics."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench_uq.api.errors import UsageError, unknown
from bench_uq.score.published import FILE, TEST_ERROR, Reference, read_file
from bench_uq.store import check_schema, derived
from bench_uq.store.about import ABOUT, About
from bench_uq.store.derived import COLUMNS, Example

__all__ = ["COLUMNS", "Results", "Seeds", "read", "select"]

#: The methods that stand first, in this order, before the others in alphabetical order.
FIRST_METHODS = ("map", "dropout", "ensemble", "mean-field", "mnf")
#: A metric that stands beside another: where that is shown, so is this.
BESIDE = {"ece": "ece_if_calibrated"}


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


@dataclass(frozen=True, eq=False)
class Results:
    """The derived files of one suite, or of one of its datasets; scores and curves of finished runs only."""

    suite: str
    runs: pd.DataFrame = field(repr=False)
    scores: pd.DataFrame = field(repr=False)
    curves: pd.DataFrame = field(repr=False)
    references: tuple[Reference, ...] = field(
        default=(), repr=False
    )  # published values, of whatever methods
    environments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by fingerprint
    about: About = field(default_factory=About, repr=False)  # facts of methods and conditions
    examples: tuple[Example, ...] = field(default=(), repr=False)
    title: str = ""  # of the report; empty: the name of the suite
    siblings: tuple[
        str, ...
    ] = ()  # all methods of the suite, also where results are narrowed to some of them
    folder: Path | None = None  # that they were read from
    chosen: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # what they are narrowed to: methods, metrics...

    @cached_property
    def datasets(self) -> list[str]:
        """The names of the datasets, those with nothing but failed runs included."""
        return sorted(self.runs["dataset"].unique())

    @cached_property
    def methods(self) -> list[str]:
        """The names of the methods in the order in which tables and figures show them."""
        rank = {name: place for place, name in enumerate(FIRST_METHODS)}
        return sorted(
            self.runs["method"].unique(), key=lambda name: (rank.get(name, len(rank)), name)
        )

    def on(self, dataset: str) -> Results:
        """Return the results on one dataset, the same object each time."""
        if dataset not in self._parts:
            runs, scores, curves = (
                frame[frame["dataset"] == dataset]
                for frame in (self.runs, self.scores, self.curves)
            )
            self._parts[dataset] = replace(
                self,
                runs=runs,
                scores=scores,
                curves=curves,
                references=tuple(one for one in self.references if one.dataset == dataset),
                examples=tuple(one for one in self.examples if one.dataset == dataset),
            )
        return self._parts[dataset]

    def seeds(self, method: str) -> Seeds:
        """Count the runs of a method; meant for the results on one dataset."""
        return self._seeds.get(method, Seeds(0, 0, 0))

    def curve(self, name: str, method: str, condition: str, level: float | None) -> pd.DataFrame:
        """Return the points of one curve of a method in one condition, all seeds; on one dataset."""
        rows = self._curve_rows.get((name, method, condition, level))
        return self.curves.iloc[:0] if rows is None else self.curves.iloc[rows]

    @cached_property
    def _parts(self) -> dict[str, Results]:
        return {}

    @cached_property
    def _seeds(self) -> dict[str, Seeds]:
        runs = self.runs.assign(ok=self.runs["status"] == "ok")
        found = {}
        for method, own in runs.groupby("method", observed=True):
            finished = own.loc[own["ok"], "converged"]
            found[str(method)] = Seeds(
                len(own),
                len(finished),
                int((finished == "False").sum()),
                int((finished == "").sum()),
            )
        return found

    @cached_property
    def _curve_rows(self) -> dict[tuple[str, str, str, float | None], np.ndarray]:
        """The rows of each curve, found once: figures ask for hundreds of curves."""
        keys = ["curve", "method", "condition", "level"]
        groups: Any = self.curves.groupby(keys, dropna=False, observed=True, sort=False).indices
        return {
            (curve, method, condition, None if pd.isna(level) else float(level)): rows
            for (curve, method, condition, level), rows in groups.items()
        }


def read(suite: Path) -> Results:
    """Read the derived files of the folder of a suite, and reference.csv where there is one."""
    if not suite.is_dir():
        there = [path.name for path in suite.parent.glob("*") if path.is_dir()]
        near = difflib.get_close_matches(suite.name, there, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"missing folder {suite}{hint} (make it with: bench-uq run)")
    check_schema(suite)
    runs, scores = (derived.table(suite / name) for name in (derived.RUNS, derived.SCORES))
    curves_file = derived.curves_file(suite)
    curves = derived.table(curves_file, derived.CURVES)
    if runs.empty:
        raise UsageError(f"{suite / 'runs.csv'} holds no runs (make them with: bench-uq run)")
    return Results(
        suite=suite.resolve().name,
        folder=suite,
        siblings=tuple(sorted(set(runs["method"]))),
        runs=runs,
        scores=_finished(scores, runs, suite / "scores.csv"),
        curves=_finished(curves, runs, curves_file),
        references=tuple(read_file(suite / FILE)) if (suite / FILE).is_file() else (),
        environments=derived.environments(suite / "environment.json"),
        about=derived.about(suite / ABOUT),
        examples=tuple(derived.examples(suite / "examples.npz")),
    )


def select(
    results: Results,
    *,
    methods: Collection[str] = (),
    datasets: Collection[str] = (),
    metrics: Collection[str] = (),
) -> Results:
    """Return the results of some methods, datasets and metrics, empty for all; an unknown name lists the known."""
    measured = sorted(set(results.scores["metric"]))
    for kind, asked, known in (
        ("method", methods, results.methods),
        ("dataset", datasets, results.datasets),
        ("metric", metrics, measured),
    ):
        for name in asked:
            if name not in known:
                raise unknown(f"{kind} in {results.suite}", name, known)
    runs, scores, curves = results.runs, results.scores, results.curves
    for column, names in (("method", methods), ("dataset", datasets)):
        if names:
            runs, scores, curves = (
                frame[frame[column].isin(names)] for frame in (runs, scores, curves)
            )
    if metrics:
        kept = [*metrics, *(BESIDE[name] for name in metrics if name in BESIDE)]
        # Without it nobody knows any more whose mutual information is 0 everywhere.
        kept += ["epistemic"] if any(name.endswith("_epistemic") for name in metrics) else []
        scores = scores[scores["metric"].isin(kept)]
    if runs.empty:
        raise UsageError(
            f"no run of {', '.join(methods)} on {', '.join(datasets)} in {results.suite}"
        )
    references = results.references
    if metrics:
        published = {*metrics, *([TEST_ERROR] if "accuracy" in metrics else [])}
        references = tuple(one for one in references if one.metric in published)
    pairs = set(zip(runs["method"], runs["dataset"], strict=True))
    examples = tuple(one for one in results.examples if (one.method, one.dataset) in pairs)
    chosen = {"methods": tuple(methods), "datasets": tuple(datasets), "metrics": tuple(metrics)}
    return replace(
        results,
        runs=runs,
        scores=scores,
        curves=curves,
        references=references,
        examples=examples,
        chosen=chosen,
    )


def _finished(table: pd.DataFrame, runs: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Rows of finished runs, after a check that every row belongs to a run that is listed."""
    keys = ["dataset", "method", "seed", "run"]
    listed = set(runs[keys].itertuples(index=False, name=None))
    for key in table[keys].drop_duplicates().itertuples(index=False, name=None):
        if key not in listed:
            raise UsageError(
                f"{path}: run {key[-1]!r} is not the one in runs.csv "
                "(make both anew with: bench-uq score)"
            )
    finished = table["run"].isin(runs.loc[runs["status"] == "ok", "run"])
    return table if finished.all() else table[finished].reset_index(drop=True)
