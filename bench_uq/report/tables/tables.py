"""The tables of one dataset: clean data, out-of-distribution data, levels and costs."""

from __future__ import annotations

from dataclasses import replace

from bench_uq.api.metric import Metric
from bench_uq.report.tables.provenance import devices
from bench_uq.report.tables.stress import attack_remarks
from bench_uq.report.tables.table import Column, Table, extent, filled
from bench_uq.score.analysis import Analysis
from bench_uq.score.labels import ARROWS, in_words
from bench_uq.score.summaries import costs

#: The metrics of runs that tell a method's costs, and their headings.
COSTS = {
    "parameters": "Parameters",
    "epochs": "Epochs",
    "draws": "Draws\n(at most)",
    "train_seconds": "Training\n(s)",
    "base_seconds": "of the\nbase (s)",
    "seconds_per_1000": "Predicting\n1,000 (s)",
    "peak_memory": "Peak\nmemory (MB)",
}
POSITIVE = "Out-of-distribution (OOD) data are the positive class."


def clean_table(analysis: Analysis) -> Table:
    """The table of clean data."""
    subject = f"clean data{extent(analysis, 'clean')}"
    return filled(analysis, subject, _clean_columns(analysis), analysis.methods)


def overview(analysis: Analysis) -> Table:
    """The table of clean data, with main scores of out-of-distribution data beside them."""
    columns = _clean_columns(analysis)
    for metric in analysis.cards.shown("unseen"):
        for name in analysis.unseen:
            if (metric, name) in analysis.measured:
                columns.append(Column(analysis.cards[metric], name, under=analysis.label(name)))
    subject = "clean and out-of-distribution (OOD) data"
    return filled(analysis, subject, columns, analysis.methods)


def ood_tables(analysis: Analysis) -> list[Table]:
    """A table of detection scores for each set of out-of-distribution data."""
    tables = []
    for name in analysis.unseen:
        columns = []
        for metric in analysis.cards:
            card = analysis.cards[metric]
            # Detection scores are those that exist once for each measure of uncertainty.
            if card.by and (metric, name) in analysis.measured:
                columns.append(Column(card, name, under=card.by))

        if columns:
            data = f"out-of-distribution (OOD) data {analysis.label(name)}{extent(analysis, name)}"
            subject = f"{data}, separated from clean test data"
            table = filled(analysis, subject, columns, analysis.methods_shown([name]))
            tables.append(replace(table, remarks=(POSITIVE, *table.remarks)))
    return tables


def level_tables(analysis: Analysis) -> list[Table]:
    """A table by level for each attack or shift and score, as far as it was measured."""
    asked = analysis.results.chosen.get("metrics", ())
    metrics = dict.fromkeys([*analysis.cards.shown("level_tables"), *asked])

    tables = []
    for condition, levels in analysis.levels.items():
        unit = analysis.level_unit(condition)
        where = f"{analysis.label(condition)}{extent(analysis, condition)}, by {unit}"
        shown = analysis.methods_shown([condition])
        for metric in metrics:
            if (metric, condition) in analysis.measured:
                card = analysis.cards[metric]
                columns = [Column(card, condition, level) for level in levels]
                subject = f"{in_words(card.heading)}{ARROWS[card.direction]} under {where}"
                table = filled(analysis, subject, columns, shown)
                remarks = attack_remarks(analysis, [condition], _bound(card))
                tables.append(replace(table, remarks=(*remarks, *table.remarks)))
    return tables


def _bound(card: Metric) -> str:
    """What a score under an attack bounds; empty if neither direction is better."""
    kinds = {"higher": ("an upper", "less"), "lower": ("a lower", "more")}
    if card.direction not in kinds:
        return ""
    kind, left = kinds[card.direction]
    return f"{card.heading} under an attack is {kind} bound: a stronger one may leave {left}."


def cost_table(analysis: Analysis) -> Table:
    """The costs of the methods, and the settings that these depend on."""
    found = costs(analysis.results, COSTS)
    known = {metric for *_, metric in found}
    columns = list[Column]()
    for name, heading in COSTS.items():
        # Without any cost, a column of dashes says so.
        if name in known or (not known and not columns):
            columns.append(Column(replace(analysis.cards[name], short=heading), "cost"))
    table = filled(analysis, "cost of training and prediction", columns, analysis.methods, found)
    return replace(table, remarks=(*devices(analysis.results), *table.remarks))


def _clean_columns(analysis: Analysis) -> list[Column]:
    """The scores of clean data that were measured, those without a card last."""
    cards = analysis.cards
    on_clean = sorted(metric for metric, name in analysis.measured if name == "clean")
    # A companion has a column even if it was not scored: without it, its metric cannot be read.
    there = {*on_clean}
    for metric in on_clean:
        there.add(cards[metric].companion)

    asked = analysis.results.chosen.get("metrics", ())
    names = [metric for metric in cards.shown("clean") if metric in there]
    for metric in on_clean:
        if metric not in names and (metric in asked or metric not in cards):
            names.append(metric)
    # Where nothing was measured, a column of dashes still says so; every task has an NLL.
    return [Column(cards[metric], "clean") for metric in names or asked or ["nll"]]
