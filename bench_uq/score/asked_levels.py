"""Levels that a reader asks for, where there is room for a single one."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from bench_uq.api.errors import UsageError, unknown
from bench_uq.api.names import level_key, plain_name
from bench_uq.score.results import Results
from bench_uq.score.summaries import levels


def levels_at(results: Results, asked: Mapping[str, float]) -> dict[str, float]:
    """The level of each condition that was asked for; a plain name stands for all that have it.

    An unknown condition, or a level that none of these has, raises UsageError.
    """
    known, found = levels(results), dict[str, float]()
    # Those with options last: they say more than a plain name.
    for name, level in sorted(asked.items(), key=lambda item: "[" in item[0]):
        meant = [one for one in known if name in (one, plain_name(one))]
        if not meant:
            offered = {*known, *map(plain_name, known)}
            raise unknown(f"condition with levels in {results.suite}", name, offered)

        having = [one for one in meant if level_key(level) in known[one]]
        if not having:
            evaluated = sorted(set(chain.from_iterable(known[one] for one in meant)))
            there = ", ".join(f"{value:g}" for value in evaluated)
            raise UsageError(f"{name} has no level {level:g} in {results.suite} (it has {there})")
        found |= dict.fromkeys(having, level_key(level))
    return found
