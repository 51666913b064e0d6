"""What scores are under stress: means over the kinds of a corruption, and over the levels of an attack or shift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bench_uq.score.labels import counted, family
from bench_uq.score.results import Results
from bench_uq.score.summaries import Curve, mean_curve

#: What the uncertainty is worth under stress, in the order of columns; ``rmse`` and ``picp`` of real targets.
SCORES = (
    *("accuracy", "accuracy_kept_80", "auroc_errors_entropy", "auroc_entropy"),
    *("rmse", "picp", "ece", "ece_if_calibrated"),
)
#: What has no value where all predictions of a run are right; any other score without a value is a hole of its run.
_UNDEFINED = ("auroc_errors_entropy",)
_RUN = ["dataset", "method", "seed", "run"]
#: The accuracy of fewer examples than the last tenth is mostly chance.
_REFUSED = 0.9
#: Places with a value for all runs, and all places, by title of a family and metric.
Counts = Mapping[tuple[str, str], tuple[int, int]]
_NOTHING = Curve(np.empty(0), np.empty(0), 0)


@dataclass(frozen=True)
class Family:
    """An attack or a shift, or all kinds of one, with every level of theirs."""

    name: str
    members: tuple[str, ...]
    levels: tuple[float, ...]

    @property
    def title(self) -> str:
        """Return what it is called where its members are averaged."""
        return (
            self.name
            if len(self.members) == 1
            else f"{self.name} (mean of {len(self.members)} kinds)"
        )


@dataclass(frozen=True)
class Stress:
    """The means over kinds and levels as results of conditions without levels, by the titles of families.

    ``counts`` says over how many of all places (kinds and levels but 0) the mean of a family's metric is.
    """

    results: Results
    counts: Counts


def families(levels: Mapping[str, Sequence[float]]) -> tuple[Family, ...]:
    """Return the attacks and shifts on one dataset; what is of one kind alone keeps its whole name."""
    groups: dict[str, dict[str, Sequence[float]]] = {}
    for condition, values in levels.items():
        groups.setdefault(family(condition), {})[condition] = values
    return tuple(
        Family(
            name if len(members) > 1 else next(iter(members)),
            tuple(members),
            tuple(sorted({level for values in members.values() for level in values})),
        )
        for name, members in groups.items()
    )


def over_kinds(results: Results, families: Sequence[Family]) -> Results:
    """Return results in which the kinds of a family are one condition, by the family's title; a hole in one stays."""
    titles = {
        member: one.title for one in families for member in one.members if len(one.members) > 1
    }
    scores = results.scores.astype({"condition": "str", "metric": "str"})
    several = scores[scores["condition"].isin(titles)]
    if several.empty:
        return results
    means = several.groupby(
        [*_RUN, several["condition"].map(titles), "level", "metric"], observed=True, sort=False
    )
    # A kind that one run lacks, or has no number of, would make its mean one of easier kinds.
    kinds = {one.title: len(one.members) for one in families}
    table = means["value"].agg(["mean", "count"]).reset_index()
    table["value"] = table["mean"].where(table["count"] == table["condition"].map(kinds))
    rest = scores[~scores["condition"].isin(titles)]
    return replace(results, scores=pd.concat([rest, table[rest.columns]], ignore_index=True))


def stressed(results: Results, families: Sequence[Family]) -> Stress:
    """Return the mean of each score over the kinds and levels of each family on one dataset, run by run.

    Level 0 is no stress. Where a run has no number, because all of its predictions are right, the place counts for no
    run: means are over the same places for all. A run that was never scored at a place has no mean.
    """
    scores = results.scores[results.scores["level"].fillna(0) != 0].astype(
        {"condition": "str", "metric": "str"}
    )
    scores = scores[scores["metric"].isin([*SCORES, "examples"])]
    titles = {member: one.title for one in families for member in one.members}
    means, counts = list[pd.DataFrame](), dict[tuple[str, str], tuple[int, int]]()
    groups: Any = scores.groupby([scores["condition"].map(titles), "metric"], sort=False)
    for (title, metric), own in groups:
        table = own.pivot(index=_RUN, columns=["condition", "level"], values="value")
        holes = own.loc[own["value"].isna() & (metric in _UNDEFINED), ["condition", "level"]]
        unknown = set(holes.itertuples(index=False, name=None))
        kept = table[[place for place in table.columns if place not in unknown]]
        if metric == "examples" and kept.stack([0, 1]).nunique() > 1:
            continue  # their mean is no number of examples
        rows = kept.mean(axis="columns", skipna=False).rename("value").reset_index()
        means.append(rows.assign(condition=title, level=np.nan, metric=metric)[scores.columns])
        counts[title, metric] = (kept.shape[1], table.shape[1])
    found = pd.concat(means, ignore_index=True) if means else scores.iloc[:0]
    return Stress(replace(results, scores=found), counts)


def kept_accuracy(
    results: Results, method: str, shown: Family | None, level: float | None
) -> Curve:
    """Return the accuracy of what is kept by the share that is refused, the least confident first, up to 90 %.

    The mean over all kinds of a family at that level, nothing where a kind lacks it; of clean data without a family.
    """
    members = shown.members if shown else ("clean",)
    curves = [mean_curve(results, "risk_coverage", method, (name, level)) for name in members]
    if not curves or any(
        len(curve.x) == 0 or not np.array_equal(curve.x, curves[0].x) for curve in curves
    ):
        return _NOTHING
    refused, accuracy = (
        1 - curves[0].x[::-1],
        1 - np.mean([curve.y for curve in curves], axis=0)[::-1],
    )
    kept = refused <= _REFUSED + 1e-9
    return Curve(refused[kept], accuracy[kept], min(curve.seeds for curve in curves))


def over_what(shown: Family, unit: str) -> str:
    """Say over which kinds and levels the means of a family are."""
    found = [level for level in shown.levels if level != 0]
    listed = ", ".join(f"{level:g}" for level in found)
    if len(found) > 6:
        listed = f"from {found[0]:g} to {found[-1]:g} ({len(found)} levels)"
    if len(found) * len(shown.members) == 1:
        return f"at {unit} {listed}"
    kinds = f"{counted(len(shown.members), 'kind')} and " if len(shown.members) > 1 else ""
    return f"mean over {kinds}{unit} {listed}"
