"""What can be told from the seeds of one dataset, in sentences of plain text: wins, ties, and what goes unseen."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bench_uq.report.tables.cells import Column
from bench_uq.score.analysis import Analysis
from bench_uq.score.labels import level_name
from bench_uq.score.statistics import ALPHA, POWER, Comparison
from bench_uq.score.summaries import (
    Place,
    Scored,
    Summary,
)

#: The scores that sentences are about: on clean data, on unseen data, under attacks and shifts.
ON_CLEAN = ("accuracy", "rmse", "nll", "brier", "crps", "ece")
ON_UNSEEN = ("auroc_entropy",)
AT_STRONGEST = ("accuracy", "nll")
OVER_KINDS = ("accuracy", "accuracy_kept_80")


def findings(analysis: Analysis) -> list[str]:
    """Return a sentence for each main score on one dataset, and one on what the seeds cannot tell."""
    averaged = analysis.over_levels
    found = {**analysis.comparisons, **averaged.comparisons}
    summaries = {**analysis.summaries, **averaged.summaries}
    told = [scored for scored in _asked(analysis) if scored in found]
    silent = [method for method in analysis.methods if analysis.seeds(method).unconverged]
    sentences = [_sentence(summaries, scored, found[scored]) for scored in told]
    if not told:
        sentences.append(
            "Nothing is claimed: that takes two converged methods that share two seeds."
        )
    if silent:
        sentences.append(f"Nothing is claimed of what had not converged: {', '.join(silent)}.")
    if told:
        seeds = min(found[scored].seeds for scored in told)
        sentences.append(
            f"Methods are compared in pairs over at least {seeds} shared seeds; all claims on one score together are "
            f"wrong in at most {ALPHA:.0%} of such reports (Holm). Power is the chance to see such a difference "
            "between two methods of the middle spread of all pairs: less noisy ones show smaller differences."
        )
    return sentences


def _asked(analysis: Analysis) -> list[Scored]:
    """Return the scores that sentences are about; of several kinds of one thing their mean."""
    shown = analysis.families
    strongest = {
        name: _strongest(analysis, name, list(one.levels))
        for one in shown
        for name in one.members
        if len(one.members) == 1
    }
    return [
        *(("clean", None, metric) for metric in ON_CLEAN),
        *((name, None, metric) for name in analysis.unseen for metric in ON_UNSEEN),
        *((name, level, metric) for name, level in strongest.items() for metric in AT_STRONGEST),
        *(
            (one.title, None, metric)
            for one in shown
            if len(one.members) > 1
            for metric in OVER_KINDS
        ),
    ]


def _strongest(analysis: Analysis, condition: str, values: list[float]) -> float:
    """Return the highest level at which some method is right more often than chance; the highest where none is."""
    highest = analysis.highest_entropy
    chance = math.exp(-highest) if highest else 0.0
    best: dict[float, float] = {}
    for (_, name, level, metric), one in analysis.summaries.items():
        if name == condition and level is not None and metric == "accuracy":
            best[level] = max(best.get(level, 0.0), one.mean)
    return max(
        (level for level, accuracy in best.items() if accuracy > chance), default=max(values)
    )


def _sentence(summaries: Mapping[Place, Summary], scored: Scored, found: Comparison) -> str:
    """Say which method is best at a score, what is tied with it, and by how much the others are worse."""
    condition, level, metric = scored
    best = summaries[found.best, condition, level, metric]
    others = [name for name in found.tied if name != found.best]
    parts = [f"{found.best} is best ({best.mean:.3g})"]
    if others and found.worse:
        parts.append(f"not told apart from it: {', '.join(others)}")
    elif others:
        parts = [
            f"nothing is told apart from the best, {found.best} ({best.mean:.3g}): {', '.join(others)}"
        ]
    if found.worse:
        behind = sorted(found.worse, key=lambda name: found.behind[name])
        parts.append(
            "worse by " + ", ".join(f"{found.behind[name]:.2g} ({name})" for name in behind)
        )
    if found.apart:
        parts.append(f"not compared with it: {', '.join(found.apart)}")
    if math.isfinite(found.detectable):
        parts.append(f"{POWER:.0%} power from {found.detectable:.2g} on")
    return f"{_named(scored)}: {'; '.join(parts)}."


def _named(scored: Scored) -> str:
    """Return what a score is called: its title, and where it was measured."""
    condition, level, metric = scored
    title = Column(metric, condition).title.replace("\n", " ")
    if condition == "clean":
        return title
    return f"{title}, {condition}" + (
        f" at {level_name(condition)} = {level:g}" if level is not None else ""
    )
