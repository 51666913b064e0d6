"""A baseline: the scores of a suite's folder, with the environments behind them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench_uq import store
from bench_uq.api.errors import UsageError
from bench_uq.check.margins import gated
from bench_uq.check.results import CELL, SuiteResults, beside, narrowed, read_folder
from bench_uq.check.rule import FEWEST
from bench_uq.score.banners import tell
from bench_uq.score.score import SCORES
from bench_uq.store.csv import csv_text
from bench_uq.store.folders import writable

#: Rows that are written at a time: the text of 10,000 runs has 130 MB.
BLOCK = 100_000


@dataclass(frozen=True)
class Written:
    """The contents of a baseline, and the gated scores ``left_out``: some seed has no value."""

    runs: int
    seeds: int  # the fewest of a method on a dataset
    left_out: tuple[str, ...]

    @property
    def warnings(self) -> list[str]:
        """Reasons why a check against this baseline says less."""
        found = [f"left out, not finite at every seed: {place}" for place in self.left_out]
        if self.seeds < FEWEST:
            found.append(
                f"only {self.seeds} seeds: bench-uq check needs {FEWEST} to find a regression"
            )
        return found


def baseline(
    folder: Path, out: Path, *, methods: Sequence[str] = (), datasets: Sequence[str] = ()
) -> Written:
    """Write a suite's folder of results as a baseline, ``out``, a CSV file."""
    if out.suffix != ".csv":
        raise UsageError(f"a baseline must end in .csv, not {out.name!r}")
    writable(out.parent)
    (results,) = narrowed([read_folder(folder)], methods, datasets)
    tell(folder)
    return write_baseline(results, out)


def write_baseline(results: SuiteResults, path: Path) -> Written:
    """Write the scores of all runs, which must be finished, and their environments beside them.

    A score that is not finite at every seed is left out: no check could ever decide about it.
    """
    require_finished(results)
    scores = results.scores
    finite = scores["value"].map(math.isfinite)
    # dropna=False, because the level of clean data is NaN; without it these scores have no group.
    cells = finite.groupby([scores[name] for name in CELL], dropna=False, observed=True)
    whole = cells.transform("all")
    gaps = scores[~whole & scores["metric"].isin(gated())].drop_duplicates(CELL)

    # Old facts beside new scores would be wrong; new scores without facts are judged more strictly.
    beside(path).unlink(missing_ok=True)
    store.write_bytes(path, _blocks(results, scores[whole]))
    store.write_json(beside(path), {**_facts(results), "sha256": store.sha256(path)})

    seeds = Counter(key[:2] for key in results.runs)
    left_out = tuple(map(_place, gaps[CELL].itertuples(index=False, name=None)))
    return Written(len(results.runs), min(seeds.values()), left_out)


def _blocks(results: SuiteResults, scores: pd.DataFrame) -> Iterator[bytes]:
    """Sorted rows of a baseline, block by block, as scores.csv has them."""
    keys = scores[["dataset", "method", "seed"]].itertuples(index=False, name=None)
    scores = scores.assign(run=[results.runs[key].name for key in keys])
    scores = scores.sort_values(list(SCORES[:-2]), na_position="first")[list(SCORES)]

    yield csv_text(scores[:0]).encode()
    for start in range(0, len(scores), BLOCK):
        yield csv_text(scores[start : start + BLOCK], header=False).encode()


def require_finished(results: SuiteResults) -> None:
    """Reject results without runs, or with a run that did not finish."""
    if not results.runs:
        raise UsageError(f"{results.name} has no runs (bench-uq run makes them)")

    unfinished = []
    for _, run in sorted(results.runs.items()):
        if run.status != "ok":
            unfinished.append(f"{run.name} ({run.status})")
    if unfinished:
        more = f" and {len(unfinished) - 3} more" if len(unfinished) > 3 else ""
        named = ", ".join(unfinished[:3])
        raise UsageError(f"no baseline of {results.name}: unfinished runs: {named}{more}")


def _facts(results: SuiteResults) -> dict[str, object]:
    """Settings and commands of the runs by name, and their environments."""
    runs = {}
    for run in results.runs.values():
        facts = {"environment": run.environment, "command": run.command}
        runs[run.name] = {**facts, **run.settings}

    # Narrowed results may not have used all, and older ones may not have stored them.
    used = {run.environment for run in results.runs.values()} & results.environments.keys()
    return {"environments": [results.environments[name] for name in sorted(used)], "runs": runs}


def _place(cell: Iterable[object]) -> str:
    """A score in words."""
    dataset, method, condition, level, metric = cell
    at = "" if isinstance(level, float) and math.isnan(level) else f" {level:g}"
    return f"{metric} of {method} on {dataset}, {condition}{at}"
