"""Scores under stress: means over the kinds of a corruption, and over levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bench_uq.score.cards import Cards
from bench_uq.score.labels import family
from bench_uq.score.results import Results
from bench_uq.score.summaries import Curve, mean_curve
from bench_uq.store.derived import GROUP_COLUMNS

#: Places with a value for all runs, and all places, by title of a family and metric.
Counts = Mapping[tuple[str, str], tuple[int, int]]

_RUN = ["dataset", "method", "seed", "run"]
#: The accuracy of fewer examples than the last tenth is mostly chance.
_REJECTED = 0.9
_NOTHING = Curve(np.empty(0), np.empty(0), 0)


@dataclass(frozen=True)
class Family:
    """An attack or a shift, or all kinds of one, with all their levels."""

    name: str
    members: tuple[str, ...]
    levels: tuple[float, ...]

    @property
    def title(self) -> str:
        """The name where its members are averaged."""
        if len(self.members) == 1:
            return self.name
        return f"{self.name} (mean of {len(self.members)} kinds)"

    @property
    def only(self) -> float | None:
        """The level, if there is one alone beside 0; None if means are over several."""
        found = [level for level in self.levels if level != 0]
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True)
class Stress:
    """Means over kinds and levels, as results of conditions named by the titles of families.

    ``counts`` says over how many of all places (kinds and levels but 0) each mean is.
    """

    results: Results
    counts: Counts


def families(levels: Mapping[str, Sequence[float]]) -> tuple[Family, ...]:
    """The families of conditions with levels; a single kind keeps its whole name."""
    groups: dict[str, list[str]] = {}
    for condition in levels:
        groups.setdefault(family(condition), []).append(condition)

    found = []
    for name, members in groups.items():
        if len(members) == 1:
            (name,) = members
        own = set[float]()
        for member in members:
            own.update(levels[member])
        found.append(Family(name, tuple(members), tuple(sorted(own))))
    return tuple(found)


def over_kinds(results: Results, families: Sequence[Family]) -> Results:
    """Average the kinds of each family into one condition; a missing value stays missing."""
    titles, kinds = dict[str, str](), dict[str, int]()
    for one in families:
        if len(one.members) > 1:
            titles |= dict.fromkeys(one.members, one.title)
            kinds[one.title] = len(one.members)

    # Titles are not among the categories.
    scores = results.scores.astype({"condition": "str", "metric": "str"})
    several = scores[scores["condition"].isin(titles)]
    if several.empty:
        return results

    keys = [*_RUN, several["condition"].map(titles), "level", "metric"]
    groups = several.groupby(keys, observed=True, sort=False)
    numbers = _numbers(several)
    means, counts = groups[numbers].mean(), groups[numbers].count()
    table = means.assign(size=groups.size()).reset_index()
    # A kind that one run lacks, or has no number of, would make its mean one of easier kinds.
    expected = table["condition"].map(kinds)
    for name in numbers:
        table[name] = table[name].where(counts[name].to_numpy() == expected)
    table = table[table["size"] == expected]
    rest = scores[~scores["condition"].isin(titles)]
    return replace(
        results,
        scores=pd.concat([rest, table[rest.columns]], ignore_index=True),
        others={budget: over_kinds(one, families) for budget, one in results.others.items()},
    )


def stressed(results: Results, families: Sequence[Family], cards: Cards) -> Stress:
    """Average each score over the kinds and levels of each family on one dataset, run by run.

    A run that was never scored at a place has no mean.
    """
    titles = dict[str, str]()
    for one in families:
        titles |= dict.fromkeys(one.members, one.title)

    # Level 0 is no stress: it repeats clean data.
    scores = results.scores[results.scores["level"].fillna(0) != 0]
    scores = scores.astype({"condition": "str", "metric": "str"})
    scores = scores[scores["metric"].isin([*cards.shown("stress"), "examples"])]

    means, counts = list[pd.DataFrame](), dict[tuple[str, str], tuple[int, int]]()
    groups: Any = scores.groupby([scores["condition"].map(titles), "metric"], sort=False)
    for (title, metric), own in groups:
        numbers = _numbers(own)
        tables = own.pivot(index=_RUN, columns=["condition", "level"], values=numbers)
        kept = table = tables["value"]
        # Where a score is undefined for a run, such as the AUROC of errors of one without errors,
        # the place counts for no run: means are over the same places for all.
        if cards[metric].undefined:
            holes = own.loc[own["value"].isna(), ["condition", "level"]]
            unknown = set(holes.itertuples(index=False, name=None))
            kept = table[[place for place in table.columns if place not in unknown]]
        # A mean of different numbers of examples is no number of examples.
        if metric == "examples" and kept.stack([0, 1]).nunique() > 1:
            continue

        values = pd.DataFrame(index=kept.index)
        for name in numbers:
            values[name] = tables[name][kept.columns].mean(axis="columns", skipna=False)
        scored = own.groupby(_RUN, observed=True).size().reindex(values.index)
        rows = values[values["value"].notna() | (scored == table.shape[1])].reset_index()
        means.append(rows.assign(condition=title, level=np.nan, metric=metric)[scores.columns])
        counts[title, metric] = (kept.shape[1], table.shape[1])

    # pandas refuses to join no tables.
    found = pd.concat(means, ignore_index=True) if means else scores.iloc[:0]
    others = {}
    for budget, other in results.others.items():
        others[budget] = stressed(other, families, cards).results
    return Stress(replace(results, scores=found, others=others), counts)


def _numbers(scores: pd.DataFrame) -> list[str]:
    """The columns that a mean of scores is over: the value, and its groups where they are known."""
    return [name for name in ("value", *GROUP_COLUMNS) if name in scores]


def kept_accuracy(
    results: Results, method: str, shown: Family | None, level: float | None
) -> Curve:
    """The accuracy of the accepted examples by the share rejected, the least confident first.

    Up to a share of 90 %; the mean over all kinds of a family at that level, empty if a kind lacks
    it. Without a family, of clean data.
    """
    members = shown.members if shown else ("clean",)
    curves = list[Curve]()
    for name in members:
        curve = mean_curve(results, "risk_coverage", method, (name, level))
        curves.append(curve)
        # The mean of fewer kinds would be one of easier kinds.
        if len(curve.x) == 0 or not np.array_equal(curve.x, curves[0].x):
            return _NOTHING

    # x is the share accepted, y the share of errors in it.
    rejected = 1 - curves[0].x[::-1]
    accuracy = 1 - np.mean([curve.y for curve in curves], axis=0)[::-1]
    kept = rejected <= _REJECTED + 1e-9
    return Curve(rejected[kept], accuracy[kept], min(curve.seeds for curve in curves))


def over_what(shown: Family, unit: str) -> str:
    """Say over which kinds and levels the means of a family are."""
    found = [f"{level:g}" for level in shown.levels if level != 0]
    listed = ", ".join(found)
    if len(found) > 6:
        listed = f"from {found[0]} to {found[-1]} ({len(found)} levels)"

    if len(shown.members) > 1:
        return f"mean over {len(shown.members):,} kinds and {unit} {listed}"
    if len(found) == 1:
        return f"at {unit} {listed}"
    return f"mean over {unit} {listed}"
