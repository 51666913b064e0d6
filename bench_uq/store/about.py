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
    """Positions of methods in tables, and facts of conditions, by names in results."""

    methods: Mapping[str, int] = field(default_factory=dict)
    conditions: Mapping[str, ConditionFacts] = field(default_factory=dict)

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
        return About(methods, {**other.conditions, **self.conditions})

    def only(self, methods: Collection[str], conditions: Collection[str]) -> About:
        """The facts of some methods and conditions."""
        return About(
            {name: order for name, order in self.methods.items() if name in methods},
            {name: facts for name, facts in self.conditions.items() if name in conditions},
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
