"""The verdict on a suite: a few plain sentences, and remarks on doubts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from bench_uq.score.analysis import Analysis
from bench_uq.score.comparisons import Ranking
from bench_uq.score.labels import counted
from bench_uq.score.questions import ATTACKS, Answer, answers
from bench_uq.score.statistics import Comparison
from bench_uq.score.summaries import costs

#: Costs that a method is chosen by: seconds of training a seed, and of 1,000 predictions.
TRAINING, PREDICTION = "train_seconds", "seconds_per_1000"
#: Methods that a sentence names before it counts the others, and seeds that nobody will run.
_NAMED, _MOST_SEEDS = 3, 200


@dataclass(frozen=True)
class Verdict:
    """Sentences that answer, and remarks on doubts, each with its remedy."""

    sentences: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """All sentences, the answers first."""
        return self.sentences + self.remarks

    def __str__(self) -> str:
        return "\n".join(self.all)


def verdict(analysis: Analysis) -> Verdict:
    """The verdict on one dataset, or on all of a suite, which are ranked across them."""
    if len(analysis.datasets) == 1:
        return _on_one(analysis.on(analysis.datasets[0]))

    sentences = list[str]()
    for metric, ranking in analysis.rankings.items():
        said = _ranked(analysis, metric, ranking)
        if said:
            sentences.append(said)
    if not sentences:
        sentences.append("Nothing is ranked across datasets: no two methods share two of them.")

    remarks = list[str]()
    for dataset in analysis.datasets:
        part = _on_one(analysis.on(dataset))
        sentences.append(f"{analysis.label(dataset)}: {part.sentences[0]}")
        remarks += [f"{analysis.label(dataset)}: {text}" for text in part.remarks]
    return Verdict(tuple(sentences), tuple(remarks))


def _on_one(analysis: Analysis) -> Verdict:
    """The verdict on one dataset."""
    found = answers(analysis)
    compared = [one for one in found if one.comparison is not None]
    if not compared:
        alone = "No comparison is made: it needs two methods that are alike, with two shared seeds."
        return Verdict((alone,), tuple(_unsure(analysis, [], "")))

    paid = _costs(analysis, TRAINING)
    leader = _leader(compared, paid)
    sentences = [
        _leading(analysis, compared, leader),
        *_behind(analysis, compared),
        *_exceptions(analysis, compared, leader),
        *_undecided(analysis, compared),
        *_peers(analysis, compared, leader),
        *_trade(analysis, compared, leader, paid),
    ]
    return Verdict(tuple(sentences), tuple(_unsure(analysis, compared, leader)))


def _comparison(one: Answer) -> Comparison:
    """The comparison of an answer that has one."""
    assert one.comparison is not None
    return one.comparison


def _leader(compared: Sequence[Answer], paid: Mapping[str, float]) -> str:
    """The method that is best or tied most often, then of the best mean rank, then cheapest."""
    # By the times it is best a method could lead that is the last in all other scores.
    ranks = [_ranks(_comparison(one)) for one in compared]

    def wins(method: str) -> tuple[int, float, float]:
        tied = sum(method in _comparison(one).tied for one in compared)
        # A method may lack a score, and then has no rank in it.
        places = [one[method] for one in ranks if method in one]
        return tied, -sum(places) / len(places), -paid.get(method, math.inf)

    methods = dict[str, None]()
    for one in compared:
        methods |= dict.fromkeys(_comparison(one).tied)
    return max(methods, key=wins)


def _ranks(comparison: Comparison) -> dict[str, float]:
    """Ranks of the methods of a comparison by their means, from 1; ties have their mean rank."""
    names = [*comparison.tied, *comparison.worse]
    behind = [abs(comparison.behind.get(name, 0.0)) for name in names]
    # The best comes first whatever rounding has made of the others.
    behind[names.index(comparison.best)] = -1.0
    return dict(zip(names, rankdata(behind).tolist(), strict=True))


def _leading(analysis: Analysis, compared: Sequence[Answer], leader: str) -> str:
    """How often the leader is not significantly worse than the best, with its scores."""
    held = [one for one in compared if leader in _comparison(one).tied]
    scores = [f"{_asked(analysis, one)} {_mean(one, leader)}" for one in held]
    # In how many scores it holds tells a broad lead from a narrow one.
    count = f"{len(held)} of {counted(len(compared), 'score')}"
    if len(held) == len(compared) > 1:
        count = f"all {len(held)} scores"
    return (
        f"{analysis.label(leader)} is best, or not significantly worse than the best, in {count} "
        f"({_basis(analysis, compared)}): {', '.join(scores)}."
    )


def _peers(analysis: Analysis, compared: Sequence[Answer], leader: str) -> list[str]:
    """The methods that nothing tells from the leader where it leads."""
    held = [one for one in compared if leader in _comparison(one).tied]
    shared = set(analysis.methods)
    for one in held:
        shared &= {*_comparison(one).tied}
    # In the order of the methods, which is that of all tables.
    equal = [analysis.label(name) for name in analysis.methods if name in shared - {leader}]
    if not equal:
        return []

    verb = "is" if len(equal) == 1 else "are"
    return [
        f"{_listed(equal, 'and', _NAMED)} {verb} not significantly worse than "
        f"{analysis.label(leader)} where it leads; {analysis.label(leader)} has the best mean rank."
    ]


def _behind(analysis: Analysis, compared: Sequence[Answer]) -> list[str]:
    """Which methods are significantly worse than the best, and by how much."""
    parts = []
    for one in compared:
        found = _comparison(one)
        worse = sorted(found.worse, key=lambda name: found.behind[name])
        if worse:
            named = [f"{analysis.label(name)} by {plain(found.behind[name], 2)}" for name in worse]
            parts.append(f"in {_asked(analysis, one)} {_listed(named, 'and', _NAMED)}")
    return [f"Significantly worse than the best are {'; '.join(parts)}."] if parts else []


def _exceptions(analysis: Analysis, compared: Sequence[Answer], leader: str) -> list[str]:
    """Where the leader is significantly worse, the best there."""
    parts = []
    for one in compared:
        found = _comparison(one)
        if leader in found.tied:
            continue
        others = [analysis.label(name) for name in found.tied if name != found.best]
        best = f"{analysis.label(found.best)} ({_mean(one, found.best)})"
        if others:
            best += f", with {_listed(others, 'and', _NAMED)} not significantly worse"
        parts.append(f"in {_asked(analysis, one)} the best is {best}")
    return [f"But {'; '.join(parts)}."] if parts else []


def _undecided(analysis: Analysis, compared: Sequence[Answer]) -> list[str]:
    """The scores at which nobody is significantly worse, and what these seeds could have found."""
    open_ = [one for one in compared if not _comparison(one).worse]
    if not open_:
        return []

    parts = []
    for one in open_:
        found = _comparison(one)
        name = _asked(analysis, one)
        if math.isfinite(found.detectable):
            name += f" (from {plain(found.detectable, 2)} on)"
        parts.append(name)
    seeds = counted(min(_comparison(one).seeds for one in open_), "seed")
    what = "so many seeds find differences of the size in brackets with 80 % power"
    return [f"Undecided with {seeds}: {', '.join(parts)}; {what}."]


def _trade(
    analysis: Analysis, compared: Sequence[Answer], leader: str, paid: Mapping[str, float]
) -> list[str]:
    """Costs of the leader and of the cheapest that is not significantly worse where it leads."""
    if leader not in paid or len(paid) < 2:
        return []

    held = [one for one in compared if leader in _comparison(one).tied]
    equal = set(paid)
    for one in held:
        equal &= {*_comparison(one).tied}
    # Sorted, so that of equal prices the choice does not depend on a set's order.
    cheapest = min(sorted(equal), key=lambda name: paid[name])
    if cheapest != leader:
        gained = _also_gained(analysis, compared, cheapest, leader)
        return [
            f"The cheapest of these, {analysis.label(cheapest)}, trains a seed in "
            f"{_seconds(paid[cheapest])} instead of {_seconds(paid[leader])}"
            f"{_predicting(analysis, cheapest, leader)}{gained}."
        ]

    least = min(paid, key=lambda name: paid[name])
    # Others may cost the same.
    if paid[least] == paid[leader]:
        price = _seconds(paid[leader])
        return [f"{analysis.label(leader)} is also the cheapest to train: {price} a seed."]
    behind = [_asked(analysis, one) for one in held if least not in _comparison(one).tied]
    return [
        f"No cheaper method is as good in all of these: the cheapest, {analysis.label(least)}, "
        f"trains a seed in {_seconds(paid[least])} instead of {_seconds(paid[leader])}"
        f"{_predicting(analysis, least, leader)}, and is worse in {_listed(behind, 'and', 9)}."
    ]


def _also_gained(analysis: Analysis, compared: Sequence[Answer], cheapest: str, leader: str) -> str:
    """Where the leader is behind, whether the cheapest is not."""
    gained = []
    for one in compared:
        tied = _comparison(one).tied
        if cheapest in tied and leader not in tied:
            gained.append(_asked(analysis, one))
    return f"; it is better in {_listed(gained, 'and', 9)}" if gained else ""


def _predicting(analysis: Analysis, one: str, other: str) -> str:
    """How the time of a prediction of two methods compares."""
    paid = _costs(analysis, PREDICTION)
    if one not in paid or other not in paid or paid[other] <= 0:
        return ""
    return f", and predicts at {plain(paid[one] / paid[other], 2)} times its time"


def _unsure(analysis: Analysis, compared: Sequence[Answer], leader: str) -> Iterable[str]:
    """Doubts, each with its remedy, a sentence each."""
    improving = [name for name in analysis.methods if analysis.seeds(name).improving]
    if improving:
        told = list[str]()
        for name in improving:
            told.append(f"{analysis.label(name)} ({analysis.seeds(name).improving})")
        named = _listed(told, "and", _NAMED)
        yield f"Still improving with more epochs: {named}; bench-uq run --budget 2 trains longer."
    elif compared and not analysis.results.others:
        yield (
            "Whether the claims hold at other epochs is not known "
            "(bench-uq run --budget 0.5, or 2, tells)."
        )

    turned = sum(len(_comparison(one).turned) for one in compared)
    if turned:
        yield f"{counted(turned, 'claim')} turned at another budget and is not made."
    yield from _failed(analysis)

    apart = analysis.results.apart(analysis.dataset)
    unlike = [analysis.label(name) for name in analysis.methods if name in apart]
    if unlike:
        named = _listed(unlike, "and", _NAMED)
        yield f"Not compared, because not run alike: {named} (the warnings say how to mend it)."

    if any(one.question.name == ATTACKS for one in compared):
        flagged = {one.method for one in analysis.masking if one.status == "flagged"}
        if flagged:
            named = _listed(sorted(map(analysis.label, flagged)), "and", _NAMED)
            yield f"Accuracy under attack says nothing of {named}: gradients look masked."
    yield from _more_seeds(analysis, compared, leader)


def _failed(analysis: Analysis) -> Iterable[str]:
    """The runs that did not finish, by what became of them."""
    runs = analysis.results.runs
    failed = runs[runs["status"] != "ok"]
    if failed.empty:
        return

    reasons = [f"{count} {status}" for status, count in failed["status"].value_counts().items()]
    named = [analysis.label(name) for name in analysis.methods if name in set(failed["method"])]
    yield (
        f"Not finished: {len(failed)} of {counted(len(runs), 'run')} ({', '.join(reasons)}), "
        f"of {_listed(named, 'and', _NAMED)} (the table of runs says why; bench-uq run repeats "
        "them)."
    )


def _more_seeds(analysis: Analysis, compared: Sequence[Answer], leader: str) -> Iterable[str]:
    """About how many seeds would decide between the leader and its closest rival."""
    best = (math.inf, "")
    for one in compared:
        found = _comparison(one)
        for name in found.tied:
            ahead = abs(found.behind.get(name, 0.0))
            if found.best != leader or name == leader or not ahead or not found.detectable > ahead:
                continue
            # The detectable difference falls with the root of the number of seeds.
            seeds = math.ceil(found.seeds * (found.detectable / ahead) ** 2)
            told = (
                f"About {seeds} seeds would tell {analysis.label(name)} from "
                f"{analysis.label(leader)} in {_asked(analysis, one)}, if the difference is the "
                f"{plain(ahead, 2)} measured (bench-uq run --seeds 0-{seeds - 1})."
            )
            best = min(best, (seeds, told))
    if best[0] <= _MOST_SEEDS:
        yield best[1]


def _ranked(analysis: Analysis, metric: str, found: Ranking) -> str:
    """The best mean rank across datasets, and those within the critical difference."""
    if found.ranks is None:
        return ""

    mean = found.ranks.mean
    best = min(mean, key=lambda name: mean[name])
    close = [
        analysis.label(name)
        for name in mean
        if name != best and mean[name] - mean[best] < found.ranks.critical
    ]
    title = analysis.cards[metric].heading.replace("\n", " ")
    said = f"{title} across {found.ranks.datasets} datasets: {analysis.label(best)} has the best "
    said += f"mean rank ({plain(mean[best], 3)} of {len(mean)})"
    if close:
        said += f", not significantly better than {_listed(close, 'or', _NAMED)}"
    if not found.tells:
        said += "; too few datasets to tell"
    return f"{said}."


def _basis(analysis: Analysis, compared: Sequence[Answer]) -> str:
    """Seeds and epochs that the comparison rests on."""
    seeds = counted(min(_comparison(one).seeds for one in compared), "shared seed")
    runs = analysis.results.runs
    epochs = runs.loc[runs["status"] == "ok", "epochs"].dropna()
    if epochs.empty:
        return seeds
    low, high = int(epochs.min()), int(epochs.max())
    span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{seeds}, {span} epochs"


def _asked(analysis: Analysis, one: Answer) -> str:
    """A question in a sentence: the score, and the condition where it is not clean data."""
    title = one.card.heading.replace("\n", " ")
    # An abbreviation keeps its capitals.
    if not title.isupper():
        title = title[:1].lower() + title[1:]
    condition = one.question.condition
    if condition == "clean":
        return title
    if one.question.over_levels:
        return f"mean {title} under {analysis.label(condition)}"
    return f"{title} on {analysis.label(condition)}"


def _mean(one: Answer, method: str) -> str:
    """The mean of a method with three digits."""
    return plain(one.summaries[method].mean, 3)


def _costs(analysis: Analysis, name: str) -> dict[str, float]:
    """A cost of each method that has it, a base included."""
    found = costs(analysis.results, [name])
    paid = {}
    for method in analysis.methods:
        one = found.get((method, "cost", None, name))
        if one is not None and math.isfinite(one.mean) and one.mean > 0:
            paid[method] = one.mean
    return paid


def _seconds(value: float) -> str:
    """A time in the unit that keeps it short."""
    if value >= 7200:
        return f"{plain(value / 3600, 2)} h"
    if value >= 600:
        return f"{plain(value / 60, 2)} min"
    return f"{plain(value, 2)} s"


def _listed(names: Sequence[str], joint: str, most: int) -> str:
    """Names in a sentence; those beyond ``most`` are counted."""
    if len(names) > most + 1:
        return f"{', '.join(names[:most])} {joint} {len(names) - most} more"
    *others, last = names
    if not others:
        return last
    return f"{', '.join(others)} {joint} {last}"


def plain(value: float, digits: int) -> str:
    """A number with that many digits, never as a power of ten."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "–"
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return np.format_float_positional(value, precision=digits, fractional=False, trim="-")
