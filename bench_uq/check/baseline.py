"""Write a baseline: the scores of a suite's folder, whole or not at all, with the environments behind them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pandas as pd

from bench_uq import store
from bench_uq.api.errors import UsageError
from bench_uq.check.margins import MARGINS
from bench_uq.check.results import CELL, Side, beside
from bench_uq.score.score import SCORES
from bench_uq.store.csv import csv_text, sort_key, write_changed
from bench_uq.store.many_rows import distinct


@dataclass(frozen=True)
class Written:
    """What a baseline holds; ``holes`` are the gated scores that it cannot hold, because a seed has no finite value."""

    runs: int
    seeds: int  # the fewest of a method on a dataset
    holes: tuple[str, ...]


def write_baseline(side: Side, path: Path) -> Written:
    """Write the scores of all runs to a CSV file and their environments beside it; refuse where a run lacks.

    A score that is not finite at every seed is left out with all its seeds: nothing could ever be told by it.
    """
    refuse_unfinished(side)
    finite = side.scores["value"].map(math.isfinite)
    whole = finite.groupby(
        [side.scores[name] for name in CELL], dropna=False, observed=True
    ).transform("all")
    holes = side.scores[~whole & side.scores["metric"].isin(MARGINS)].drop_duplicates(CELL)
    # Old facts beside new scores would be wrong, new scores without any facts are only judged more carefully.
    beside(path).unlink(missing_ok=True)
    write_changed(path, chain([csv_text([SCORES])], _by_run(side, side.scores[whole])))
    store.write_json(beside(path), {**_facts(side), "sha256": store.sha256(path)})
    seeds = Counter(key[:2] for key in side.runs)
    places = tuple(map(_place, holes[CELL].itertuples(index=False, name=None)))
    return Written(len(side.runs), min(seeds.values()), places)


def _by_run(side: Side, scores: pd.DataFrame) -> Iterator[str]:
    """Yield the rows of one run after the other, as scores.csv has them."""
    keys = list(SCORES[:3])
    scores = scores.sort_values(keys, kind="stable")
    for key, rows in distinct(scores, keys):
        own = scores.iloc[rows][list(SCORES[3:-1])].itertuples(index=False, name=None)
        lines = [
            [
                *key,
                condition,
                None if math.isnan(level) else level,
                metric,
                value,
                side.runs[key].name,
            ]
            for condition, level, metric, value in own
        ]
        yield csv_text(sorted(lines, key=sort_key))


def refuse_unfinished(side: Side) -> None:
    """Refuse a side with a run that did not finish, or without any."""
    if not side.runs:
        raise UsageError(f"{side.name} has no runs (bench-uq run makes them)")
    lacking = [
        f"{run.name} ({run.status})" for _, run in sorted(side.runs.items()) if run.status != "ok"
    ]
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        raise UsageError(
            f"no baseline of {side.name}: not finished are {', '.join(lacking[:3])}{more}"
        )


def _facts(side: Side) -> dict[str, object]:
    """Return what is kept of the runs, by name, and of their environments."""
    used = {run.environment for run in side.runs.values()}
    return {
        "environments": [side.environments[name] for name in sorted(used & set(side.environments))],
        "runs": {
            run.name: {"environment": run.environment, "command": run.command, **run.settings}
            for run in side.runs.values()
        },
    }


def _place(cell: Iterable[object]) -> str:
    """Return where a score stands, as a line has it."""
    dataset, method, condition, level, metric = cell
    at = "" if isinstance(level, float) and math.isnan(level) else f" {level:g}"
    return f"{metric} of {method} on {dataset}, {condition}{at}"
