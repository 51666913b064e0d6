"""The comparison of methods at each main score: clean data, OOD data, attacks and shifts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench_uq.score.cards import Cards
from bench_uq.score.statistics import Comparison
from bench_uq.score.stress import Family
from bench_uq.score.summaries import Place, Scored, Summary


@dataclass(frozen=True)
class Conclusion:
    """Which methods are best at one score, and the mean of the best."""

    scored: Scored
    mean: float
    comparison: Comparison


def conclude(
    main: Iterable[Scored],
    summaries: Mapping[Place, Summary],
    comparisons: Mapping[Scored, Comparison],
) -> list[Conclusion]:
    """The conclusion on each main score at which methods can be compared."""
    found = []
    for scored in main:
        comparison = comparisons.get(scored)
        if comparison is not None:
            best = summaries[comparison.best, *scored]
            found.append(Conclusion(scored, best.mean, comparison))
    return found


def main_scores(
    cards: Cards,
    families: Sequence[Family],
    unseen: Iterable[str],
    level_of: Callable[[str], float],
) -> list[Scored]:
    """The main scores of one dataset; a family of several kinds counts by its mean.

    ``level_of`` gives the level of a condition.
    """
    found: list[Scored] = [("clean", None, metric) for metric in cards.shown("ranks")]
    for name in unseen:
        found += [(name, None, metric) for metric in cards.shown("unseen")]

    several: list[Scored] = []
    for one in families:
        if len(one.members) > 1:
            several += [(one.title, None, metric) for metric in cards.shown("kinds")]
            continue

        (name,) = one.members
        found += [(name, level_of(name), metric) for metric in cards.shown("strongest")]
    return found + several


def strongest(
    summaries: Mapping[Place, Summary],
    condition: str,
    highest: float,
    highest_entropy: float | None,
) -> float:
    """The highest level at which a method is right more often than chance, else the highest."""
    # Where all methods are wrong, a comparison of them says nothing.
    chance = math.exp(-highest_entropy) if highest_entropy else 0.0
    above = []
    for (_, name, level, metric), one in summaries.items():
        if (name, metric) == (condition, "accuracy") and level is not None and one.mean > chance:
            above.append(level)
    return max(above, default=highest)
