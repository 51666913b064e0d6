"""Facts of methods and conditions, stored with results so that reports need no plugin."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from bench_uq.api.condition import Condition, Search

#: The derived file with these facts; results of older versions lack it.
ABOUT = "about.json"


@dataclass(frozen=True)
class ConditionFacts:
    """Facts of a condition with its options; the defaults are those of an unknown one."""

    level_name: str = "level"
    unit: str = ""
    family: str = ""
    surrogate: str = ""  # method whose networks are attacked
    search: Search | None = None


@dataclass(frozen=True)
class About:
    """Facts of methods and conditions, and remarks on data, by names in results.

    ``methods`` are the positions of methods, ``priors`` those whose loss holds a prior over the
    weights, ``starts`` how their weights start, empty for as torch's layers do. ``titles`` are how
    figures and tables call methods, datasets and conditions, by plain name, or by whole name where
    a suite says so.
    """

    methods: Mapping[str, int] = field(default_factory=dict)
    conditions: Mapping[str, ConditionFacts] = field(default_factory=dict)
    data: Mapping[str, list[str]] = field(default_factory=dict)  # remarks, by dataset
    priors: Mapping[str, bool] = field(default_factory=dict)
    starts: Mapping[str, str] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)

    def of(self, condition: str) -> ConditionFacts:
        """Facts of a condition; a family of kinds has those of one of its kinds."""
        if condition in self.conditions:
            return self.conditions[condition]

        # Families are made in reports, so no plan holds facts of them.
        for name, facts in self.conditions.items():
            if _plain(name) == _plain(condition):
                return facts
        return ConditionFacts()

    def laid_over(self, other: About) -> About:
        """Both together; if they differ, this one counts."""
        methods = {**other.methods, **self.methods}
        conditions = {**other.conditions, **self.conditions}
        data, priors = {**other.data, **self.data}, {**other.priors, **self.priors}
        starts, titles = {**other.starts, **self.starts}, {**other.titles, **self.titles}
        return About(methods, conditions, data, priors, starts, titles)

    def remarks(self) -> list[str]:
        """Lines about the data, each with the name of its dataset."""
        lines = list[str]()
        for name, told in self.data.items():
            lines += [f"{name}: {remark}" for remark in told]
        return lines

    def only(
        self, methods: Collection[str], conditions: Collection[str], datasets: Collection[str] = ()
    ) -> About:
        """The facts of some methods and conditions, and the remarks on some datasets."""
        # An empty list says that the data have no remarks any more.
        data = {name: told for name, told in self.data.items() if name in datasets and told}
        kept = {*methods, *conditions, *datasets}
        kept |= {_plain(name) for name in kept}
        return About(
            {name: order for name, order in self.methods.items() if name in methods},
            {name: facts for name, facts in self.conditions.items() if name in conditions},
            data,
            {name: prior for name, prior in self.priors.items() if name in methods},
            {name: start for name, start in self.starts.items() if name in methods},
            {name: title for name, title in self.titles.items() if name in kept},
        )


def facts_of(condition: Condition) -> ConditionFacts:
    """Facts of a condition with its options."""
    return ConditionFacts(
        condition.level_name,
        condition.unit,
        condition.family,
        condition.surrogate(),
        condition.search(),
    )


def _plain(condition: str) -> str:
    """Name without options, and without the words that a mean over kinds adds."""
    return re.split(r"[\[ ]", condition)[0]
