"""What the tables of a report say, as one frame for notebooks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from bench_uq.api.errors import UsageError
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read
from bench_uq.score.statistics import Comparison, interval
from bench_uq.store.derived import KEYS

COLUMNS = (
    *(
        "dataset",
        "method",
        "condition",
        "level",
        "metric",
        "direction",
        "seeds",
        "mean",
        "sd",
        "low",
        "high",
    ),
    *("ci_low", "ci_high", "verdict", "behind", "p"),
)


def summary(scores: pd.DataFrame | str | Path) -> pd.DataFrame:
    """Return a row a dataset, method, condition, level and metric, summed up over seeds as in the
    tables of a report.

    ``scores`` is what ``read_scores`` returns, perhaps filtered, or the folder of a suite; methods
    that its ``attrs`` name as unconverged take part in no verdict. ``low`` and ``high`` are the
    range over seeds, ``ci_low`` and ``ci_high`` Student's 95 % interval of the mean; ``verdict`` is
    best, tied, worse or apart, empty where nothing is compared; ``behind`` is by how much the best
    is better, ``p`` Holm's adjusted p-value of that where it is worse.
    """
    results = _of_scores(scores) if isinstance(scores, pd.DataFrame) else read(Path(scores))
    rows = [row for dataset in results.datasets for row in _rows(results.on(dataset), dataset)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _of_scores(scores: pd.DataFrame) -> Results:
    """Return results of which nothing is known but the scores."""
    if missing := [name for name in (*KEYS["scores.csv"], "value") if name not in scores.columns]:
        raise UsageError(
            f"scores lack the column {missing[0]!r} (bench_uq.read_scores returns them all)"
        )
    repeated = scores.duplicated(KEYS["scores.csv"])
    if repeated.any():
        twice = ", ".join(map(str, scores.loc[repeated, KEYS["scores.csv"]].iloc[0]))
        raise UsageError(f"scores hold twice: {twice}; a mean over seeds would count it twice")
    # Columns of pandas' own types have a missing value of their own.
    numbers = {name: scores[name].astype("float64") for name in ("level", "value")}
    scores = scores.assign(**numbers).reset_index(drop=True)
    runs = scores[["dataset", "method", "seed"]].drop_duplicates().assign(status="ok", converged="")
    loose = {tuple(pair) for pair in scores.attrs.get("unconverged", ())}
    runs.loc[
        [pair in loose for pair in zip(runs["dataset"], runs["method"], strict=True)], "converged"
    ] = "False"
    return Results("scores", runs, scores, pd.DataFrame(columns=["dataset"]))


def _rows(results: Results, dataset: str) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of one dataset."""
    keys = ["method", "condition", "level", "metric"]
    groups: Any = results.scores.dropna(subset="value").groupby(keys, dropna=False, observed=True)[
        "value"
    ]
    values = {
        (method, condition, None if math.isnan(level) else level, metric): list(own)
        for (method, condition, level, metric), own in groups
    }
    analysis = analyse(results)
    for place, one in analysis.summaries.items():
        method, condition, level, metric = place
        claim = analysis.comparisons.get((condition, level, metric))
        yield (
            *(dataset, method, condition, math.nan if level is None else level, metric),
            *(analysis.cards[metric].direction, one.seeds, one.mean, one.sd, one.low, one.high),
            *interval(values[place]),
            *_verdict(method, claim),
        )


def _verdict(method: str, claim: Comparison | None) -> tuple[str, float, float]:
    """Return what is claimed of a method, how far it is behind the best, and how sure that is."""
    if claim is None:
        return "", math.nan, math.nan
    said = {
        "best": method == claim.best,
        "tied": method in claim.tied,
        "worse": method in claim.worse,
        "apart": method in claim.apart,
    }
    verdict = next((word for word, holds in said.items() if holds), "")
    behind = 0.0 if verdict == "best" else claim.behind.get(method, math.nan)
    return verdict, behind, claim.worse.get(method, math.nan)
