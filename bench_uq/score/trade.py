"""What the leader of a verdict costs, beside the cheapest that is not significantly worse."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from bench_uq.score.analysis import Analysis
from bench_uq.score.leading import held
from bench_uq.score.questions import Answer
from bench_uq.score.rounding import plain
from bench_uq.score.summaries import costs
from bench_uq.score.wording import (
    PREDICTION,
    asked,
    asked_each,
    compared_in,
    listed,
    paid_by,
    seconds,
)

#: Ratio of two times below which they are about equal.
_NEAR = 1.5


def trade(
    analysis: Analysis,
    compared: Sequence[Answer],
    leader: str,
    paid: Mapping[str, float],
    equals: str,
) -> list[str]:
    """Costs of the leader and of the cheapest that no claim is made against where it holds.

    ``equals`` is what a sentence calls all of these. Methods that are not compared in one of these
    scores are left out.
    """
    where, equal = held(compared, leader), set(paid)
    known = set(paid)
    for one in where:
        found = compared_in(one)
        equal &= {*found.equal}
        known &= {*found.tied, *found.worse}
    if leader not in known or len(known) < 2:
        return []

    predicting = paid_by(analysis, PREDICTION)

    def price(name: str) -> tuple[float, float, str]:
        # Of those that train in about the same time that which predicts fastest. The name comes
        # last, so that the choice does not depend on a set's order.
        return _about(paid[name]), predicting.get(name, math.inf), name

    cheapest, least = min(equal, key=price), min(known, key=price)
    if _about(paid[least]) == _about(paid[leader]):
        told = seconds(paid[leader])
        return [f"{analysis.spoken(leader)} is also the cheapest to train: {told} a seed."]
    if _about(paid[cheapest]) < _about(paid[leader]):
        return [
            f"The cheapest of {equals}, {analysis.spoken(cheapest)}, trains a seed in "
            f"{seconds(paid[cheapest])} instead of {seconds(paid[leader])}"
            f"{_predicting(analysis, cheapest, leader)}"
            f"{_also_gained(analysis, compared, cheapest, leader)}."
        ]

    near = _nearest(where, known, paid, leader)
    worse = _but_worse(analysis, compared, near)
    said = (
        f"Cheaper: {analysis.spoken(near)} trains a seed in "
        f"{seconds(paid[near])} instead of {seconds(paid[leader])}"
        f"{_predicting(analysis, near, leader)}{worse}"
    )
    if near != least:
        said += f"; {analysis.spoken(least)}, the cheapest, trains one in {seconds(paid[least])}"
        said += _but_worse(analysis, compared, least)
    return [f"{said}."]


def _about(cost: float) -> float:
    """A cost to two digits: closer ones are not told apart by one measurement."""
    return float(f"{cost:.2g}")


def _nearest(
    where: Sequence[Answer], known: Collection[str], paid: Mapping[str, float], leader: str
) -> str:
    """Of the methods cheaper than the leader that which is worse in the fewest scores; of several
    the cheapest.
    """
    cheaper = sorted(name for name in known if _about(paid[name]) < _about(paid[leader]))

    def cost(name: str) -> tuple[int, float]:
        return sum(name in compared_in(one).worse for one in where), paid[name]

    return min(cheaper, key=cost)


def _but_worse(analysis: Analysis, compared: Sequence[Answer], name: str) -> str:
    """The scores in which a method is significantly worse than the best."""
    behind = [one for one in compared if name in compared_in(one).worse]
    if not behind:
        return ""
    alone = ", alone of these scores" if len(behind) == 1 < len(compared) else ""
    return f", but is worse in {listed(asked_each(analysis, behind), 'and', 9)}{alone}"


def _also_gained(analysis: Analysis, compared: Sequence[Answer], cheapest: str, leader: str) -> str:
    """Where the leader is significantly worse than the best, whether the cheapest is not."""
    gained = []
    for one in compared:
        found = compared_in(one)
        if cheapest in found.equal and leader in found.worse:
            gained.append(asked(analysis, one))
    if not gained:
        return ""
    return f"; it is not significantly worse than the best in {listed(gained, 'and', 9)} either"


def _predicting(analysis: Analysis, one: str, other: str) -> str:
    """How the time of a prediction of two methods compares."""
    found = costs(analysis.results, [PREDICTION])
    own, others = (found.get((name, "cost", None, PREDICTION)) for name in (one, other))
    if own is None or others is None or not (own.mean > 0 and others.mean > 0):
        return ""

    faster, slower = others.mean / own.mean, own.mean / others.mean
    # The spread of one seed is not a number, and no gap is within it.
    if any(abs(own.mean - others.mean) <= each.sd for each in (own, others)):
        # These seeds do not tell which is faster.
        return ", and predicts about as fast" if max(faster, slower) < _NEAR else ""
    if "1" in (plain(faster, 2), plain(slower, 2)):
        return ", and predicts as fast"
    if faster > 1:
        return f", and predicts {plain(faster, 2)} times as fast"
    return f", and takes {plain(slower, 2)} times as long to predict"
