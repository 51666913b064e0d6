"""Tables of scores under stress: one for each attack, shift, and family of kinds."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from bench_uq.report.tables.table import Column, Table, extent, filled
from bench_uq.score.analysis import Analysis
from bench_uq.score.labels import kind
from bench_uq.score.stress import Counts, Family, over_what
from bench_uq.score.wording import listed

BOUND = "Accuracy under an attack is an upper bound: a stronger one may leave less."


def stress_tables(analysis: Analysis) -> dict[str, Table]:
    """The tables of one dataset by family; a family whose only level is 0 has none."""
    means, cards = analysis.over_levels, analysis.cards
    tables = {}
    for one in analysis.families:
        names = [name for name in cards.shown("stress") if (name, one.title) in means.measured]
        if not names:
            continue
        # A companion, such as the floor of the ECE, has a column even if it was not scored.
        for name in tuple(names):
            companion = cards[name].companion
            if companion and companion not in names:
                names.append(companion)

        columns = [Column(cards[name], one.title) for name in names]
        levels = over_what(one, analysis.level_unit(one.name))
        subject = f"under {analysis.label(one.name)}{extent(means, one.title)}, {levels}"
        table = filled(means, subject, columns, analysis.methods_shown(one.members))
        places = _places(one, columns, analysis.stress_counts)
        bounds = attack_remarks(analysis, one.members, BOUND)
        tables[one.name] = replace(table, remarks=(*bounds, *places, *table.remarks))
    return tables


def attack_remarks(analysis: Analysis, conditions: Collection[str], bound: str) -> list[str]:
    """What a score under an attack bounds, and the most draws behind a gradient; else nothing."""
    about = analysis.results.about
    searched = any(about.of(condition).search for condition in conditions)

    draws = dict[str, float]()
    for (method, condition, _, metric), summary in analysis.summaries.items():
        if metric == "attack_draws" and condition in conditions:
            draws[method] = max(summary.mean, draws.get(method, 0))

    remarks = [bound] if bound and (draws or searched) else []
    if draws:
        told = [f"{count:.0f} ({analysis.label(method)})" for method, count in draws.items()]
        remarks.append(f"Draws behind a gradient: {', '.join(told)}.")
    return [*remarks, *own_networks(analysis, conditions)]


def own_networks(analysis: Analysis, conditions: Iterable[str]) -> list[str]:
    """Methods whose own networks are attacked where others are attacked by transfer."""
    about = analysis.results.about
    surrogates = {about.of(condition).surrogate for condition in conditions}
    own = [analysis.label(name) for name in analysis.methods if name in surrogates]
    if not own:
        return []
    named = listed(own, "and", 9)
    return [f"Transfer attacks are found on networks of {named}, for which they are no transfer."]


def _places(one: Family, columns: Iterable[Column], counts: Counts) -> list[str]:
    """Name the kinds of a family, and each score that some run lacks at some places."""
    remarks, noun = [], "levels"
    if len(one.members) > 1:
        remarks.append(f"Kinds: {', '.join(map(kind, one.members))}.")
        noun = "kinds and levels"

    for column in columns:
        kept, places = counts.get((one.title, column.metric), (0, 0))
        if kept < places:
            share = f"mean over {kept} of {places} {noun}"
            remarks.append(f"{column.name}: {share}, those at which every run has a value.")
    return remarks
