"""The verdict on one dataset in sentences of plain text."""

from __future__ import annotations

import math

from bench_uq.report.tables.provenance import tuning
from bench_uq.report.tables.table import Column
from bench_uq.score.analysis import Analysis
from bench_uq.score.comparisons import found_from
from bench_uq.score.conclusions import Conclusion
from bench_uq.score.convergence import words
from bench_uq.score.statistics import ALPHA, POWER
from bench_uq.score.summaries import costs
from bench_uq.score.wording import repeating

#: Names of tied methods in a sentence; of more, the reader wants those that are worse.
_MOST_TIED = 4

#: Methods whose training times fit a sentence; the table has all.
_MOST_PRICES = 8

_SMALLEST = (
    "The smallest difference is that of two methods with the median spread of all pairs: less "
    "noisy methods show smaller ones."
)


def conclusions(analysis: Analysis) -> list[str]:
    """A sentence for each main score, and sentences on how methods were compared."""
    found = analysis.conclusions
    sentences = [_sentence(analysis, one) for one in found]
    if not found:
        sentences.append(
            "No comparison is made: it needs two methods that are alike, with at least two seeds "
            "in common."
        )

    apart = analysis.results.apart(analysis.dataset)
    unlike = [analysis.spoken(method) for method in analysis.methods if method in apart]
    if unlike:
        sentences.append(f"Not compared, because not alike: {', '.join(unlike)}.")
    sentences += _tuning(analysis)
    sentences += _budgets(analysis, found)
    sentences += _price(analysis)
    if found:
        sentences += [_test(found), _SMALLEST]
    return sentences


def _test(found: list[Conclusion]) -> str:
    """How methods were compared, and how much of the noise is of the test examples."""
    seeds = min(one.comparison.seeds for one in found)
    shares = [one.comparison.examples for one in found if one.comparison.crossed]
    claims, test = "for new seeds", "paired t test"
    if len(shares) == len(found):
        claims, test = "for new seeds and new test examples", "t test, both crossed"

    holm = f"Holm over all pairs of a score, {ALPHA * 100:.0f} %"
    told = f"Methods are compared in pairs over at least {seeds} shared seeds, {claims} "
    told += f"({test}, {holm}: the more methods are compared, the larger a difference must be to "
    told += "be claimed)."
    if shares:
        low, high = min(shares) * 100, max(shares) * 100
        share = f"{high:.0f} %" if f"{low:.0f}" == f"{high:.0f}" else f"{low:.0f} to {high:.0f} %"
        told += f" The test examples are {share} of the variance of a difference."
    return told


def _tuning(analysis: Analysis) -> list[str]:
    """Whether the methods were tuned, where that is known."""
    runs = analysis.results.runs
    said = tuning(runs[runs["status"] == "ok"])
    return [f"Options and recipe of the methods: {said}."] if said else []


def _budgets(analysis: Analysis, found: list[Conclusion]) -> list[str]:
    """What other budgets change, and whether the claims hold there."""
    sentences = []
    improving = []
    for method in analysis.methods:
        told = analysis.seeds(method).improving
        if told:
            improving.append(f"{analysis.spoken(method)} ({told})")
    if improving:
        sentences.append(f"Compared at this budget, but not converged: {', '.join(improving)}.")

    claims = list[tuple[Conclusion, str]]()
    for one in found:
        claims += [(one, method) for method in one.comparison.worse]
    turned = sum(len(one.comparison.turned) for one in found)
    if not claims and not turned:
        return sentences
    if not analysis.results.others:
        sentences.append(
            "Not known is whether these claims hold at another budget "
            f"({repeating(analysis)} --budget 0.5, or --budget 2)."
        )
        return sentences

    checked = sum(method in one.comparison.checked for one, method in claims)
    budgets = " and ".join(map(words, analysis.results.others))
    told = f"At {budgets} {checked} of {checked + turned} claims have the same sign"
    if turned:
        told += "; the others are not made"
    if checked < len(claims):
        told += f"; {len(claims) - checked} could not be checked there"
    sentences.append(f"{told}.")
    return sentences


def _price(analysis: Analysis) -> list[str]:
    """The training time of each method that was trained here; of many, of the two extremes."""
    paid = costs(analysis.results, ["train_seconds", "base_seconds"])
    prices = dict[str, float]()
    told = dict[str, str]()
    for method in analysis.methods:
        one = paid.get((method, "cost", None, "train_seconds"))
        if one and math.isfinite(one.mean):
            prices[method] = one.mean
            told[method] = f"{analysis.spoken(method)} {one.mean:.3g} s"
            base = paid.get((method, "cost", None, "base_seconds"))
            if base:
                told[method] += f" ({base.mean:.3g} s of these its base)"

    if len(prices) > _MOST_PRICES:
        cheapest, dearest = min(prices, key=prices.__getitem__), max(prices, key=prices.__getitem__)
        return [f"Cost: training a seed took from {told[cheapest]} to {told[dearest]}."]
    return [f"Cost: training a seed took {', '.join(told.values())}."] if told else []


def _sentence(analysis: Analysis, one: Conclusion) -> str:
    """Name the best method at a score, those not significantly worse, and those that are."""
    found, label = one.comparison, analysis.spoken
    best = f"{label(found.best)} is best ({one.mean:.3g})"
    others = [label(name) for name in found.tied if name not in (found.best, *found.turned)]
    if others:
        best += f", not significantly better than {_tied(others, len(analysis.methods) - 1)}"

    parts = [best]
    if found.worse:
        worse = []
        for name in sorted(found.worse, key=lambda name: found.behind[name]):
            worse.append(f"{label(name)} by {found.behind[name]:.2g}")
        parts.append(f"significantly better than {', '.join(worse)}")
    for name, budget in found.turned.items():
        ahead = f"{label(name)} is behind by {found.behind[name]:.2g}, but not at {words(budget)}"
        parts.append(f"{ahead}: not claimed")
    if found.apart:
        parts.append(f"not compared with {_listed(list(map(label, found.apart)))}")
    # Unknown if the median pair has no spread.
    least = found_from(analysis.cards[one.scored[-1]], found, one.mean)
    power = f"{POWER * 100:.0f} % power"
    if least == math.inf:
        parts.append(f"no difference would be found with {power}")
    elif math.isfinite(least):
        parts.append(f"smallest difference found with {power}: {least:.2g}")
    return f"{_name(analysis, one)}: {'; '.join(parts)}."


def _tied(names: list[str], rivals: int) -> str:
    """Methods that are not significantly worse: by name if they are few, else by number."""
    if len(names) <= _MOST_TIED:
        return _listed(names)
    return "any other method" if len(names) == rivals else f"{len(names)} others"


def _listed(names: list[str] | tuple[str, ...]) -> str:
    """Names in a sentence."""
    *others, last = names
    if not others:
        return last
    return f"{', '.join(others)} or {last}"


def _name(analysis: Analysis, one: Conclusion) -> str:
    """The name of a score, and where it was measured."""
    condition, level, metric = one.scored
    title = Column(analysis.cards[metric], condition).name
    if condition == "clean":
        return title

    name = f"{title}, {analysis.label(condition)}"
    if level is not None:
        name += f" at {analysis.level_name(condition)} = {level:g}"
    return name
