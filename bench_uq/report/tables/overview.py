"""Overviews of one dataset: methods by questions, and conditions by methods."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from bench_uq.report.tables.stress import own_networks
from bench_uq.report.tables.table import Cell, Column, Row, Table, best_alone, cell, filled, marks
from bench_uq.report.tables.tables import COSTS
from bench_uq.score.analysis import Analysis
from bench_uq.score.labels import ARROWS
from bench_uq.score.leading import by_rank
from bench_uq.score.questions import Question, answers, questions
from bench_uq.score.results import Seeds
from bench_uq.score.rounding import decimals
from bench_uq.score.summaries import Shown, Summary, costs
from bench_uq.score.wording import without_kinds

#: Costs beside the answers.
_PAID = ("train_seconds", "seconds_per_1000")
_MEANS = "Under attacks and shifts: means over their {}levels other than 0{}."
_TELLING = "Of several levels that at which the methods differ most."


def by_questions(analysis: Analysis) -> Table | None:
    """A row per method, a column per question; None if nothing that has a question was measured.

    They stand in the order of the verdict: by mean rank over these scores, those that lack one
    behind the others.
    """
    found = questions(analysis)
    if not found:
        return None

    plain = [_column(analysis, one) for one in found if not one.over_levels]
    means = [_column(analysis, one) for one in found if one.over_levels]
    subject = "overview"
    parts = [filled(analysis, subject, plain, analysis.methods)]
    parts.append(filled(analysis.over_levels, subject, means, analysis.methods))
    paid = costs(analysis.results, _PAID)
    there = {metric for *_, metric in paid}
    known = [name for name in _PAID if name in there]
    priced = [Column(replace(analysis.cards[name], short=COSTS[name]), "cost") for name in known]
    if priced:
        parts.append(filled(analysis, subject, priced, analysis.methods, paid))

    rows = list[Row]()
    for same in zip(*(part.rows for part in parts), strict=True):
        rows.append(replace(same[0], cells=sum((row.cells for row in same), ())))
    ranked = by_rank(analysis, [one for one in answers(analysis) if one.comparison is not None])
    rows.sort(key=lambda row: ranked.index(row.method) if row.method in ranked else len(ranked))

    columns = sum((part.columns for part in parts), ())
    remarks = (*_means(analysis, found), *parts[0].remarks)
    compared = sum(part.compared for part in parts)
    crossed = sum(part.crossed for part in parts)
    whole = replace(parts[0], columns=columns, rows=tuple(rows), remarks=remarks)
    return replace(whole, compared=compared, crossed=crossed)


def _means(analysis: Analysis, found: Iterable[Question]) -> list[str]:
    """The remark on means over levels, if there are any."""
    # Means over levels stand beside plain scores, which a reader must be told.
    levels = [one.only for one in found if one.over_levels]
    if None not in levels:
        return []
    alone = any(level is not None for level in levels)
    kinds = "kinds and " if any(len(one.members) > 1 for one in analysis.families) else ""
    return [_MEANS.format(kinds, ", where the heading names no level" if alone else "")]


def _column(analysis: Analysis, one: Question) -> Column:
    """The column of a question, its condition beneath the title."""
    condition, level, metric = one.scored
    under = "" if condition == "clean" else without_kinds(analysis, condition)
    if one.only is not None:
        under += f" at {one.only:g}"
    return Column(analysis.cards[metric], condition, level, under)


def by_conditions(analysis: Analysis, metric: str) -> Table | None:
    """A row per condition, a column per method, of one score; None if it has fewer than two rows.

    The kinds of a corruption are one condition.
    """
    source, card = analysis.over_kinds, analysis.cards[metric]
    places = list(_places(source, metric))
    # One condition alone is the table of clean data.
    if len(places) < 2:
        return None

    summaries = source.summaries
    columns, rows = list[Column](), list[Row]()
    unconverged = list[str]()
    for method in analysis.methods:
        name = analysis.label(method)
        if analysis.seeds(method).marked:
            unconverged.append(name)
            name += " †"
        # Of the card only the heading counts here: every column is the same score.
        named = replace(card, short=name, note="", companion="", undefined="")
        columns.append(Column(replace(named, direction="none"), "clean"))

    compared = crossed = 0
    for condition, level in places:
        scored = (condition, level, metric)
        marked = marks(source, scored)
        compared += scored in source.comparisons
        crossed += scored in source.comparisons and source.comparisons[scored].crossed
        there = [summaries.get((method, *scored)) for method in analysis.methods]
        # A precision for each condition: seeds differ far more under stress.
        digits = decimals(filter(None, there))
        # A cell of fewer seeds than the row says so; a failed method has no number to say it of.
        most = max((one.seeds + one.lacking for one in filter(None, there)), default=0)
        cells = list[Cell]()
        for method, own in zip(analysis.methods, there, strict=True):
            cells.append(marked.on(method, cell(own, most, digits)))
        label = analysis.label(condition)
        if level is not None:
            # One level stands for all of an attack; which one must be seen.
            label += f", {source.level_name(condition)} = {level:g}"
        rows.append(Row(condition, Seeds(most, most, 0), tuple(cells), label))

    heading = " ".join(card.heading.split())
    subject = f"{heading}{ARROWS[card.direction]} by condition"
    remarks = [_TELLING] if any(level is not None for _, level in places) else []
    if unconverged:
        remarks.append(f"† Not converged: {', '.join(unconverged)}.")
    remarks += own_networks(analysis, [condition for condition, _ in places])
    dataset, alone = analysis.label(analysis.dataset), best_alone(analysis)
    whole = Table(dataset, tuple(columns), tuple(rows), subject, tuple(remarks), compared, crossed)
    return replace(whole, noun="condition", alone=alone)


def condition_tables(analysis: Analysis) -> dict[str, Table]:
    """Conditions by methods, of the first scores on clean data and those asked for, by metric."""
    asked = analysis.results.chosen.get("metrics", ())
    main = [name for name in analysis.cards.shown("overview") if _on_clean(analysis, name)]
    tables = {}
    for metric in dict.fromkeys([*main[:2], *asked]):
        table = by_conditions(analysis, metric)
        if table is not None:
            tables[metric] = table
    return tables


def _on_clean(analysis: Analysis, metric: str) -> bool:
    """Whether a metric was measured on clean data."""
    return (metric, "clean") in analysis.measured


def _places(analysis: Analysis, metric: str) -> Iterable[Shown]:
    """Where a score was measured: without levels, and of each condition at its telling level."""
    for condition in ("clean", *analysis.unseen):
        if (metric, condition) in analysis.measured:
            yield condition, None
    for condition in analysis.levels:
        if (metric, condition) in analysis.measured:
            yield condition, telling_level(analysis, condition, metric)


def telling_level(analysis: Analysis, condition: str, metric: str) -> float:
    """The level of a condition at which the means of the methods differ most; of equals the first.

    Where all methods fail, or none does, a comparison says little.
    """
    levels, widest = analysis.levels[condition], dict[float, float]()
    for level in levels:
        means = list[float]()
        for method in analysis.methods:
            one: Summary | None = analysis.drawn(method, condition, level, metric)
            if one is not None and math.isfinite(one.mean):
                means.append(one.mean)
        widest[level] = max(means) - min(means) if len(means) > 1 else -1.0
    return max(levels, key=lambda level: widest[level])
