"""The questions that a report answers first, each by one score of all methods on one dataset."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from bench_uq.api.metric import Metric
from bench_uq.score.analysis import Analysis
from bench_uq.score.results import select
from bench_uq.score.statistics import Comparison
from bench_uq.score.stress import Family
from bench_uq.score.summaries import Place, Scored, Summary
from bench_uq.score.worst import FAMILY

#: Questions on attacks and on shifts, which are about every metric with a question of its own.
ATTACKS, SHIFTS = "attacks", "shifts"


@dataclass(frozen=True)
class Question:
    """A question and the score that answers it.

    ``over_levels`` if it is among the means over levels; ``only`` is the level of those that are of
    one alone.
    """

    name: str
    scored: Scored
    over_levels: bool = False
    only: float | None = None

    @property
    def condition(self) -> str:
        """The condition, or the title of a family."""
        return self.scored[0]

    @property
    def metric(self) -> str:
        """The id of the metric."""
        return self.scored[2]


@dataclass(frozen=True)
class Answer:
    """A question with the score of each method, and how the methods compare there, if they do."""

    question: Question
    card: Metric
    summaries: Mapping[str, Summary]
    comparison: Comparison | None


def answers(analysis: Analysis) -> list[Answer]:
    """The answer to each question that two methods were asked."""
    found, flagged = [], masked(analysis)
    for question in questions(analysis):
        asked = analysis
        if question.name == ATTACKS and flagged:
            # A score that says nothing of a method must not make it the best.
            asked = _without(analysis, flagged)
        if not asked.methods:
            continue
        source = asked.over_levels if question.over_levels else asked
        summaries = _of_methods(asked, source.summaries, question.scored)
        comparison = source.comparisons.get(question.scored)
        card = analysis.cards[question.metric]
        found.append(Answer(question, card, summaries, comparison))
    return found


def masked(analysis: Analysis) -> frozenset[str]:
    """The methods whose gradients look masked, so that attacks tell nothing of them."""
    return frozenset(one.method for one in analysis.masking if one.status == "flagged")


def _without(analysis: Analysis, methods: Collection[str]) -> Analysis:
    """The analysis of the other methods."""
    kept = [name for name in analysis.methods if name not in methods]
    results = analysis.results
    if not kept:
        return replace(analysis, results=replace(results, runs=results.runs[:0]))
    return replace(analysis, results=select(results, methods=kept, cards=analysis.cards))


def questions(analysis: Analysis) -> list[Question]:
    """The questions on one dataset: clean data, OOD data, one attack, each shift."""
    found = list[Question]()
    cards = analysis.cards
    asked = [name for name in cards.shown("overview") if cards[name].question]
    for metric in asked:
        for condition in ("clean", *analysis.unseen):
            # A metric of OOD data has no value on clean data, and those of clean data say nothing
            # on examples without a true class.
            fits = (condition != "clean") == cards[metric].against_clean
            # A distance to a reference needs no true class, and tells most on unseen data.
            fits |= bool(cards[metric].needs_of_reference)
            if fits and (metric, condition) in analysis.measured:
                found.append(Question(cards[metric].question, (condition, None, metric)))

    attacks, shifts = list[Family](), list[Family]()
    for one in analysis.families:
        (attacks if _is_attack(analysis, one) else shifts).append(one)
    named = [(ATTACKS, one) for one in _strongest(analysis, attacks)]
    for name, one in [*named, *((SHIFTS, shift) for shift in shifts)]:
        metrics = [metric for metric in asked if metric in cards.shown("stress")]
        metrics = [one_ for one_ in metrics if (one_, one.title) in analysis.over_levels.measured]
        for metric in metrics[:1]:
            found.append(Question(name, (one.title, None, metric), True, one.only))
    return found


def _of_methods(
    analysis: Analysis, summaries: Mapping[Place, Summary], scored: Scored
) -> dict[str, Summary]:
    """The score of each method that has it and that it can judge."""
    condition, level, metric = scored
    blank, found = analysis.unjudged.get(metric, ()), {}
    for method in analysis.methods:
        summary = summaries.get((method, condition, level, metric))
        if summary is not None and method not in blank:
            found[method] = summary
    return found


def _is_attack(analysis: Analysis, one: Family) -> bool:
    """Whether a family searches for inputs on which networks do badly."""
    facts = analysis.results.about.of(one.members[0])
    return facts.search is not None or bool(facts.surrogate) or "attack" in facts.family


def _strongest(analysis: Analysis, attacks: Sequence[Family]) -> list[Family]:
    """The worst case over attacks, else the attack that searches longest; none without attacks."""
    # Accuracy under an attack is an upper bound, and the strongest is closest to the truth. Means
    # over other levels cannot say which one that is.
    about = analysis.results.about

    def strength(one: Family) -> tuple[bool, int, int]:
        facts = about.of(one.members[0])
        steps = facts.search.steps if facts.search else 0
        # Of equal ones the plainest, with the fewest options.
        return facts.family == FAMILY, steps, -len(one.name)

    return sorted(attacks, key=strength)[-1:]
