"""The verdict on a suite: a few plain sentences, and remarks on doubts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench_uq.score.analysis import Analysis
from bench_uq.score.comparisons import Ranking, found_from
from bench_uq.score.doubts import doubts, open_answers
from bench_uq.score.labels import counted
from bench_uq.score.leading import by_rank, held, placed
from bench_uq.score.questions import Answer, Question, answers, masked
from bench_uq.score.rounding import decimals, fixed, plain
from bench_uq.score.short_of_seeds import short_of_seeds
from bench_uq.score.statistics import POWER
from bench_uq.score.trade import trade
from bench_uq.score.wording import (
    NAMED,
    TRAINING,
    asked,
    asked_each,
    compared_in,
    listed,
    mean_of,
    paid_by,
)

#: Methods beside the leader that are none of them worse, from which on there is no winner.
_CROWD = 8
#: Methods of which it is said what tuning chose; of more only what that changed.
_MOST_CHOSEN = 5
#: Scores beyond the compared ones in which the leader is worse, of which a sentence tells.
_MOST_ELSEWHERE = 5


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

    remarks = dict[str, list[str]]()
    for dataset in analysis.datasets:
        part = _on_one(analysis.on(dataset))
        sentences.append(f"{analysis.label(dataset)}: {part.sentences[0]}")
        for text in part.remarks:
            remarks.setdefault(text, []).append(analysis.label(dataset))

    # A remark on all datasets is said once.
    told = [f"{listed(names, 'and', NAMED)}: {text}" for text, names in remarks.items()]
    return Verdict(tuple(sentences), tuple(told))


def _on_one(analysis: Analysis) -> Verdict:
    """The verdict on one dataset."""
    compared = [one for one in answers(analysis) if one.comparison is not None]
    if not compared:
        alone = "No comparison is made: it needs two methods that are alike, with two shared seeds."
        return Verdict((alone,), tuple(doubts(analysis, [])))

    paid = paid_by(analysis, TRAINING)
    leader = by_rank(analysis, compared)[0]
    peers = _equal(analysis, compared, leader)
    # A leader among many is none.
    crowd = len(peers) >= _CROWD and len(held(compared, leader)) == len(compared)
    leading = [_leading(analysis, compared, leader), *_exceptions(analysis, compared, leader)]
    leading += _elsewhere(analysis, compared, leader)
    leading += _left_out(analysis, compared)
    sentences = [
        " ".join([*([_no_winner(analysis, compared, peers)] if crowd else []), *leading]),
        *_beside(analysis, compared, leader),
        *_behind(analysis, compared),
        *_undecided(analysis, compared),
        *([] if crowd else _peers(analysis, peers)),
        *trade(analysis, compared, leader, paid, f"the {len(peers) + 1}" if crowd else "these"),
        *_tuned(analysis),
    ]
    return Verdict(tuple(sentences), tuple(doubts(analysis, compared)))


def _leading(analysis: Analysis, compared: Sequence[Answer], leader: str) -> str:
    """How often the leader is not significantly worse than the best."""
    where = held(compared, leader)
    count = f"{len(where)} of {counted(len(compared), 'score')}"
    if len(where) == len(compared) > 1:
        count = f"all {len(where)} scores"
    return (
        f"{analysis.spoken(leader)} ranks best on average, and is best, or not significantly worse "
        f"than the best, in {count} ({_basis(analysis, compared)})."
    )


def _beside(analysis: Analysis, compared: Sequence[Answer], leader: str) -> list[str]:
    """The scores of the leader, each beside the best of the others."""
    scores = []
    for one, question in zip(compared, asked_each(analysis, compared), strict=True):
        found = compared_in(one)
        others = [name for name in (*found.tied, *found.worse) if name != leader]
        if leader not in one.summaries or not others:
            continue

        # Of equal means the first, in the order of the tables.
        sign = -1 if one.card.direction == "higher" else 1
        others.sort(key=analysis.methods.index)
        next_best = min(others, key=lambda name: sign * one.summaries[name].mean)
        # Behind a level a mean would read as one of two numbers.
        parted = ":" if one.question.only is not None else ""
        scores.append(
            f"{question}{parted} {mean_of(one, leader)} "
            f"({analysis.spoken(next_best)} {mean_of(one, next_best)})"
        )
    if not scores:
        return []
    return [f"Its scores (best of the others): {', '.join(scores)}."]


def _exceptions(analysis: Analysis, compared: Sequence[Answer], leader: str) -> list[str]:
    """Where the leader is significantly worse, with the best there, and where it has no score."""
    parts, lacking = [], []
    for one in compared:
        found = compared_in(one)
        if leader in found.worse:
            best = f"{analysis.spoken(found.best)} ({mean_of(one, found.best)})"
            parts.append(f"in {asked(analysis, one)} {best} is significantly better")
        elif leader not in (*found.tied, *found.worse):
            lacking.append(asked(analysis, one))

    said = [f"But {'; '.join(parts)}."] if parts else []
    if lacking:
        said.append(f"It is not compared in {listed(lacking, 'and', 9)}.")
    return said


def _left_out(analysis: Analysis, compared: Sequence[Answer]) -> list[str]:
    """The methods that no comparison has, because their seeds are too few."""
    ranked = placed(compared)
    out = [one for one in short_of_seeds(analysis) if one.method not in ranked]
    if not out:
        return []
    named = listed([f"{analysis.spoken(one.method)} ({one})" for one in out], "and", NAMED)
    return [f"Not compared, for want of seeds: {named}."]


def _behind(analysis: Analysis, compared: Sequence[Answer]) -> list[str]:
    """Which methods are significantly worse than the best, and by how much."""
    parts = []
    for one in compared:
        found = compared_in(one)
        worse = sorted(found.worse, key=lambda name: found.behind[name])
        if worse:
            digits = decimals(one.summaries.values())
            named = []
            for name in worse:
                named.append(f"{analysis.spoken(name)} by {fixed(found.behind[name], digits)}")
            parts.append(f"in {asked(analysis, one)}, {listed(named, 'and', NAMED)}")
    return [f"Significantly worse than the best: {'; '.join(parts)}."] if parts else []


def _elsewhere(analysis: Analysis, compared: Sequence[Answer], leader: str) -> list[str]:
    """The means over levels in which the leader is worse, but for the compared scores."""
    means, flagged = analysis.over_levels, masked(analysis)
    known = {one.question.scored for one in compared}
    only = {one.title: one.only for one in analysis.families}
    parts = []
    for scored, found in means.comparisons.items():
        card = analysis.cards[scored[2]]
        # Scores without a question stand beside others.
        if scored in known or not card.question or leader not in found.worse:
            continue
        # A method whose gradients look masked is no measure.
        if found.best in flagged:
            continue

        summaries = {}
        for name in (*found.tied, *found.worse):
            summary = means.summaries.get((name, *scored))
            if summary is not None:
                summaries[name] = summary
        question = Question(card.question, scored, over_levels=True, only=only.get(scored[0]))
        one = Answer(question, card, summaries, found)
        parts.append(
            f"in {asked(analysis, one)}, {mean_of(one, leader)} "
            f"({analysis.spoken(found.best)} {mean_of(one, found.best)})"
        )
    if not parts:
        return []
    named = listed(parts, "and", _MOST_ELSEWHERE, between="; ")
    return [f"Elsewhere it is significantly worse: {named}."]


def _undecided(analysis: Analysis, compared: Sequence[Answer]) -> list[str]:
    """The scores at which nobody is significantly worse, and what these seeds could have found."""
    undecided = open_answers(compared)
    if not undecided:
        return []

    parts, bounded = [], False
    for one, name in zip(undecided, asked_each(analysis, undecided), strict=True):
        found = compared_in(one)
        least = found_from(one.card, found, one.summaries[found.best].mean)
        if least == math.inf:
            name += " (no gap)"
        elif math.isfinite(least):
            name += f" ({plain(least, 2)})"
            bounded = True
        parts.append(name)

    seeds = counted(min(compared_in(one).seeds for one in undecided), "seed")
    told = f"Undecided with {seeds}"
    if bounded:
        told = f"Undecided (in brackets the gap that {seeds} find in {POWER * 100:.0f} % of cases)"
    return [f"{told}: {', '.join(parts)}."]


def _equal(analysis: Analysis, compared: Sequence[Answer], leader: str) -> list[str]:
    """The other methods that no claim is made against where the leader holds."""
    shared = set(analysis.methods)
    for one in held(compared, leader):
        shared &= {*compared_in(one).equal}
    # In the order of the methods, which is that of all tables.
    return [name for name in analysis.methods if name in shared - {leader}]


def _no_winner(analysis: Analysis, compared: Sequence[Answer], peers: Sequence[str]) -> str:
    """That a leader is one of many."""
    seeds = counted(min(compared_in(one).seeds for one in compared), "seed")
    count = f"{len(peers) + 1} of {len(analysis.methods)} methods"
    where = f"any of {len(compared)} scores" if len(compared) > 1 else "the score"
    return f"No clear winner: {seeds} do not tell {count} from the best in {where}."


def _peers(analysis: Analysis, peers: Sequence[str]) -> list[str]:
    """The names of these methods."""
    if not peers:
        return []

    equal = [analysis.spoken(name) for name in peers]
    verb = "is" if len(equal) == 1 else "are"
    return [
        f"{listed(equal, 'and', NAMED)} {verb} not significantly worse than the best in these "
        "scores either."
    ]


def _tuned(analysis: Analysis) -> list[str]:
    """What tuning chose for each method, and what that changed on the test split."""
    changed, kept = [], []
    for one in analysis.tuning:
        if one.kept:
            kept.append(analysis.spoken(one.name))
        else:
            changed.append(f"{analysis.label(one.name)}{_gained(analysis, one.method)}")

    # What each seed has of its own is too much for a sentence.
    if len(changed) > _MOST_CHOSEN or any(one.apart for one in analysis.tuning):
        return [_tuned_many(analysis, len(changed), len(kept))]
    said = []
    if changed:
        said.append(f"Tuning chose {listed(changed, 'and', 9, between='; ')}.")
    if kept:
        whose = "its default" if len(kept) == 1 else "their defaults"
        said.append(f"It left {listed(kept, 'and', 9)} at {whose}.")
    return [" ".join(said)] if changed else []


def _tuned_many(analysis: Analysis, changed: int, kept: int) -> str:
    """The same in short: the methods whose NLL changed significantly, and how many others."""
    lower, higher = list[str](), list[str]()
    for one in analysis.tuning:
        shift = None if one.kept else analysis.shifts.get((one.method, "nll"))
        if shift is None or math.isnan(shift.low) or shift.low <= 0 <= shift.high:
            continue
        own = lower if shift.mean < 0 else higher
        own.append(f"{analysis.spoken(one.name)} by {plain(abs(shift.mean), 2)}")

    parts = list[str]()
    if lower:
        parts.append(f"lowers the NLL of {listed(lower, 'and', 9)}")
    if higher:
        parts.append(f"raises that of {listed(higher, 'and', 9)}")
    others = changed - len(lower) - len(higher)
    parts.append(f"chose other settings for {others} more, and left {kept} at their defaults")
    return f"Tuning {', '.join(parts)} (the section on tuning has each)."


def _gained(analysis: Analysis, method: str) -> str:
    """By how much tuning changed the NLL of a method; empty if its default was not run."""
    shift = analysis.shifts.get((method, "nll"))
    if shift is None:
        return ""
    if math.isnan(shift.low) or shift.low <= 0 <= shift.high:
        return ", whose NLL is not significantly different from its default's"
    than = "lower" if shift.mean < 0 else "higher"
    return f", whose NLL is {plain(abs(shift.mean), 2)} {than} than its default's"


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
        said += f", not significantly better than {listed(close, 'or', NAMED)}"
    if not found.tells:
        said += "; too few datasets to tell"
    return f"{said}."


def _basis(analysis: Analysis, compared: Sequence[Answer]) -> str:
    """Seeds and epochs that the comparison rests on."""
    seeds = counted(min(compared_in(one).seeds for one in compared), "shared seed")
    runs = analysis.results.runs
    epochs = runs.loc[runs["status"] == "ok", "epochs"].dropna()
    if epochs.empty:
        return seeds
    low, high = int(epochs.min()), int(epochs.max())
    span = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{seeds}, {span} epochs"
