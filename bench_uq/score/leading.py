"""Which method leads, by its ranks in the compared scores, and where it holds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.stats import rankdata

from bench_uq.score.analysis import Analysis
from bench_uq.score.questions import Answer
from bench_uq.score.wording import TRAINING, compared_in, paid_by


def _ranks(one: Answer) -> dict[str, float]:
    """Ranks of the compared methods by their means, 1 for the best; ties share their mean rank."""
    found = compared_in(one)
    names = [name for name in (*found.tied, *found.worse) if name in one.summaries]
    sign = -1 if one.card.direction == "higher" else 1
    places = rankdata([sign * one.summaries[name].mean for name in names])
    return dict(zip(names, places.tolist(), strict=True))


def placed(compared: Sequence[Answer]) -> dict[str, list[float]]:
    """The ranks of each method in the answers that compare it."""
    places = dict[str, list[float]]()
    for one in compared:
        for method, place in _ranks(one).items():
            places.setdefault(method, []).append(place)
    return places


def by_rank(analysis: Analysis, compared: Sequence[Answer]) -> list[str]:
    """The compared methods by mean rank, then most scores without a better one, then cheapest.

    Methods that lack a score stand behind the others: they lead only where all do.
    """
    places, paid = placed(compared), paid_by(analysis, TRAINING)

    def worth(method: str) -> tuple[int, float, int, float]:
        own = places[method]
        # Not first: a method whose scores vary most over seeds is tied most often.
        equal = sum(method in compared_in(one).equal for one in compared)
        return len(own), -sum(own) / len(own), equal, -paid.get(method, math.inf)

    return sorted(places, key=worth, reverse=True)


def held(compared: Sequence[Answer], leader: str) -> list[Answer]:
    """The answers in which the leader is the best, or no claim is made against it."""
    return [one for one in compared if leader in compared_in(one).equal]
