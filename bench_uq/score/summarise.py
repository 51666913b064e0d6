"""The numbers and claims of a report's tables as one frame, for notebooks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from bench_uq.api.errors import UsageError
from bench_uq.api.names import level_key
from bench_uq.score.analysis import analyse
from bench_uq.score.likeness import FACTS, marked
from bench_uq.score.results import Results, as_level, read, with_groups
from bench_uq.score.statistics import Comparison, interval
from bench_uq.store.derived import KEYS

COLUMNS = [
    *("dataset", "method", "condition", "level", "metric", "direction"),
    *("seeds", "mean", "sd", "low", "high", "ci_low", "ci_high"),
    *("verdict", "behind", "p"),
]


def summary(scores: pd.DataFrame | str | Path) -> pd.DataFrame:
    """One row per dataset, method, condition, level and metric, as in the tables of a report.

    A mean is infinite, or missing, if the score of one of the seeds is; ``seeds`` counts those of a
    finite one.

    ``scores`` are those of ``read_scores``, perhaps filtered, or the folder of a suite, whose other
    budgets then count too. Methods that differ from the others in settings or data take part in no
    verdict, and no mean holds a copy of a run. ``low`` and ``high`` are the
    range over seeds, ``ci_low`` and ``ci_high`` Student's 95 % interval of the mean. ``verdict`` is
    best, tied, worse or apart, empty without a comparison. ``behind`` is by how much the best is
    better, and ``p`` the adjusted p-value of a method that is worse.
    """
    results = _of_scores(scores) if isinstance(scores, pd.DataFrame) else read(Path(scores))
    rows = list[tuple[Any, ...]]()
    for dataset in results.datasets:
        rows += _rows(results.on(dataset), dataset)
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_scores(scores: pd.DataFrame) -> Results:
    """Results with nothing but scores."""
    keys = KEYS["scores.csv"]
    for name in (*keys, "value"):
        if name not in scores.columns:
            raise UsageError(
                f"scores lack the column {name!r} (bench_uq.read_scores returns them all)"
            )

    for twice in scores.loc[scores.duplicated(keys), keys].itertuples(index=False):
        raise UsageError(
            f"scores hold twice: {', '.join(map(str, twice))}; "
            "a mean over seeds would count it twice"
        )

    # Columns of pandas' own types have a missing value of their own.
    scores = scores.astype({"level": "float64", "value": "float64"}).reset_index(drop=True)
    scores["level"] = scores["level"].map(level_key)
    runs = scores[["dataset", "method", "seed"]].drop_duplicates().assign(status="ok")
    runs = runs.assign(diagnosis="", train_seconds=0.0)

    facts = pd.DataFrame(scores.attrs.get("runs", ()), columns=[*KEYS["runs.csv"], *FACTS])
    runs = marked(runs.merge(facts.astype(runs.dtypes[KEYS["runs.csv"]]), how="left"))
    places = pd.MultiIndex.from_frame(runs.loc[runs["left_out"] != "", KEYS["runs.csv"]])
    out = pd.MultiIndex.from_frame(scores[KEYS["runs.csv"]]).isin(places)
    kept = scores[~out]
    if "groups" in scores.attrs:
        kept = with_groups(kept, Path(scores.attrs["groups"]))
    return Results("scores", runs, kept, pd.DataFrame(columns=["dataset"]))


def _rows(results: Results, dataset: str) -> Iterator[tuple[Any, ...]]:
    """The rows of one dataset."""
    keys = ["method", "condition", "level", "metric"]
    # Names may be categories, of which pandas would group every combination.
    groups: Any = results.scores.groupby(keys, dropna=False, observed=True)["value"]
    analysis = analyse(results)

    for (method, condition, number, metric), values in groups:
        level = as_level(number)
        one = analysis.summaries.get((method, condition, level, metric))
        if one is None:
            continue
        claim = analysis.comparisons.get((condition, level, metric))
        yield (
            *(dataset, method, condition, number, metric),
            *(analysis.cards[metric].direction, one.seeds, one.mean, one.sd, one.low, one.high),
            *interval(values),
            *_verdict(method, claim),
        )


def _verdict(method: str, claim: Comparison | None) -> tuple[str, float, float]:
    """The claim on a method, how far it is behind the best, and the p-value of that."""
    if claim is None:
        return "", math.nan, math.nan

    behind = claim.behind.get(method, math.nan)
    # The best is among the tied, and has no lead over itself.
    if method == claim.best:
        return "best", 0.0, math.nan
    if method in claim.tied:
        return "tied", behind, math.nan
    if method in claim.worse:
        return "worse", behind, claim.worse[method]
    if method in claim.apart:
        return "apart", behind, math.nan
    return "", behind, math.nan
