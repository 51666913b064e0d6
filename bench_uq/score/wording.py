"""Words that the sentences of a verdict share."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from bench_uq.score.analysis import Analysis
from bench_uq.score.labels import in_words
from bench_uq.score.questions import Answer
from bench_uq.score.rounding import decimals, fixed, plain
from bench_uq.score.statistics import Comparison
from bench_uq.score.summaries import costs

#: Costs that a method is chosen by: seconds of training a seed, and of 1,000 predictions.
TRAINING, PREDICTION = "train_seconds", "seconds_per_1000"
#: Methods that a sentence names before it counts the others.
NAMED = 3


def repeating(analysis: Analysis) -> str:
    """The command for more runs of the same suite and settings.

    Stored commands leave out ``--methods``: who narrowed the suite adds it again.
    """
    runs = analysis.results.runs
    made = set[str]()
    for command in runs["command"].dropna().unique() if "command" in runs else ():
        if str(command).startswith("bench-uq run"):
            # A remedy has a budget of its own.
            made.add(re.sub(r" --budget \S+", "", str(command)))
    return made.pop() if len(made) == 1 else "bench-uq run"


def asked(analysis: Analysis, one: Answer) -> str:
    """A question in a sentence: the score, and the condition where it is not clean data."""
    title, condition = in_words(one.card.heading), one.question.condition
    if condition == "clean":
        return title
    if one.question.only is not None:
        return f"{title} under {analysis.label(condition)} at {one.question.only:g}"
    if one.question.over_levels:
        return f"mean {title} under {without_kinds(analysis, condition)}"
    return f"{title} on {analysis.label(condition)}"


def without_kinds(analysis: Analysis, condition: str) -> str:
    """Label of a condition; of a family without the number of kinds, which its title has."""
    names = {family.title: family.name for family in analysis.families}
    return analysis.label(names.get(condition, condition))


def asked_each(analysis: Analysis, several: Sequence[Answer]) -> list[str]:
    """Questions in one sentence: of neighbours that differ in their condition only the first names
    the score.
    """
    names, before = list[str](), ""
    for one in several:
        name = asked(analysis, one)
        # A level or other data would read as those of the score before.
        score, under, condition = name.partition(" under ")
        joined = one.question.over_levels and one.question.only is None
        names.append(condition if joined and score == before else name)
        before = score if under and joined else ""
    return names


def compared_in(one: Answer) -> Comparison:
    """The comparison of an answer that has one."""
    assert one.comparison is not None
    return one.comparison


def mean_of(one: Answer, method: str) -> str:
    """The mean of a method, with as many digits as its column has in tables."""
    return fixed(one.summaries[method].mean, decimals(one.summaries.values()))


def seconds(value: float) -> str:
    """A time in seconds, as in the tables; of several hours in hours."""
    if value >= 7200:
        return f"{plain(value / 3600, 2)} h"
    return f"{plain(value, 2)} s"


def listed(names: Sequence[str], joint: str, most: int, between: str = ", ") -> str:
    """Names in a sentence; those beyond ``most`` are counted."""
    if len(names) > most + 1:
        return f"{between.join(names[:most])} {joint} {len(names) - most} more"
    *others, last = names
    if not others:
        return last
    comma = "" if between == ", " else between.strip()
    return f"{between.join(others)}{comma} {joint} {last}"


def paid_by(analysis: Analysis, name: str) -> dict[str, float]:
    """A cost of each method that has it, a base included."""
    found = costs(analysis.results, [name])
    paid = {}
    for method in analysis.methods:
        one = found.get((method, "cost", None, name))
        if one is not None and math.isfinite(one.mean) and one.mean > 0:
            paid[method] = one.mean
    return paid
