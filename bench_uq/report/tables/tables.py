"""Which tables there are, in no format yet: rows of methods, columns of scores."""

from __future__ import annotations

import math

from bench_uq.report.tables.cells import BY, Cell, Column, Row, Table, fixed
from bench_uq.report.tables.fill import extent, filled
from bench_uq.score.analysis import Analysis
from bench_uq.score.comparisons import Ranking
from bench_uq.score.labels import ARROWS, level_unit
from bench_uq.score.results import Seeds
from bench_uq.score.summaries import costs, directions

#: The scores of clean data that a table shows, of any task, in this order.
CLEAN = (
    "accuracy",
    "rmse",
    "nll",
    "brier",
    "crps",
    "ece",
    "ece_if_calibrated",
    "adaptive_ece",
    "picp",
    "mpiw",
)
#: How well unseen data are told from clean data.
DETECTION = ("auroc", "aupr", "fpr95")
#: The score of unseen data that an overview shows.
UNSEEN = ("auroc_entropy",)
#: The scores of attacked or shifted data that are drawn, and what their axes are called.
LEVEL_AXES = {
    "accuracy": "accuracy",
    "rmse": "RMSE",
    "nll": "NLL (nats)",
    "ece": "ECE",
    "picp": "PICP",
    "entropy": "mean entropy (nats)",
    "epistemic": "mutual information (nats)",
    "auroc_entropy": "AUROC against clean",
    "accuracy_kept_80": "accuracy (80 % kept)",
    "auroc_errors_entropy": "AUROC of errors",
    "entropy_wrong": "mean entropy of errors (nats)",
}
#: Those that tables show, a table each.
BY_LEVEL = ("accuracy", "nll", "ece", "ece_if_calibrated", "entropy", "auroc_entropy")
#: What a method costs.
COST = ("parameters", "epochs", "draws", "train_seconds", "seconds_per_1000", "peak_memory")
#: The clean scores by which methods are ranked across datasets.
RANKED = ("accuracy", "rmse", "nll", "brier", "crps", "ece")
#: What a table of ranks is called.
RANKS = "mean ranks across datasets on clean data, 1 for the best"


def clean_table(analysis: Analysis) -> Table:
    """Return the table of clean data of the results on one dataset."""
    subject = f"clean data{extent(analysis, 'clean')}"
    return filled(analysis, subject, _clean_columns(analysis), analysis.methods)


def overview(analysis: Analysis) -> Table:
    """Return the table of clean data with one score of each set of unseen data beside it."""
    there = analysis.measured
    unseen = [Column(metric, name, under=name) for metric in UNSEEN for name in analysis.unseen]
    columns = [
        *_clean_columns(analysis),
        *(column for column in unseen if (column.metric, column.condition) in there),
    ]
    return filled(analysis, "clean and unseen data", columns, analysis.methods)


def unseen_tables(analysis: Analysis) -> list[Table]:
    """Return a table of detection scores for each set of unseen data on one dataset."""
    there, tables = analysis.measured, []
    for name in analysis.unseen:
        asked = [
            Column(f"{kind}_{by}", name, under=title)
            for kind in DETECTION
            for by, title in BY.items()
        ]
        columns = [column for column in asked if (column.metric, name) in there]
        if columns:
            tables.append(
                filled(
                    analysis,
                    f"{name}{extent(analysis, name)}, unseen, told from clean data",
                    columns,
                    analysis.methods_shown([name]),
                )
            )
    return tables


def level_tables(analysis: Analysis) -> list[Table]:
    """Return a table by level for each attack or shift and score, as far as it was measured."""
    there = analysis.measured
    return [
        filled(
            analysis,
            f"{_in_words(metric)} under {condition}{extent(analysis, condition)}, by {level_unit(condition)}",
            [Column(metric, condition, level) for level in values],
            analysis.methods_shown([condition]),
        )
        for condition, values in analysis.levels.items()
        for metric in dict.fromkeys([*BY_LEVEL, *analysis.results.chosen.get("metrics", ())])
        if (metric, condition) in there
    ]


def cost_table(analysis: Analysis) -> Table:
    """Return what the methods on one dataset cost, and the settings that this depends on."""
    found = costs(analysis.results, COST)
    columns = [Column(name, "cost") for name in COST if any(place[3] == name for place in found)]
    return filled(
        analysis,
        "what training and predicting cost",
        columns or [Column(COST[0], "cost")],
        analysis.methods,
        found,
    )


def rank_table(analysis: Analysis) -> Table | None:
    """Return the mean ranks of methods across datasets; None where no score can be ranked."""
    found = {metric: analysis.rankings[metric] for metric in RANKED}
    placed = {metric: one for metric, one in found.items() if one.ranks}
    if not placed:
        return None
    columns = tuple(Column(metric, "ranks") for metric in placed)
    seeds = {method: _seeds_everywhere(analysis, method) for method in analysis.methods}
    claimed = not any(
        seeds[name].unconverged for one in placed.values() if one.ranks for name in one.ranks.mean
    )
    cells = [_rank_cells(analysis, metric, one, claimed) for metric, one in placed.items()]
    rows = tuple(
        Row(method, seeds[method], tuple(own.get(method, Cell()) for own in cells))
        for method in analysis.methods
        if any(method in own for own in cells)
    )
    remarks = [_rank_remark(column, placed[column.metric]) for column in columns]
    told = sum(one.tells for one in placed.values())
    return Table("", columns, rows, RANKS, tuple(remarks), claimed * told)


def _clean_columns(analysis: Analysis) -> list[Column]:
    """Return the scores of clean data that were measured, those without a card last."""
    on_clean = sorted(metric for metric, condition in analysis.measured if condition == "clean")
    wanted = [
        metric
        for metric in CLEAN
        if metric in on_clean or (metric == "ece_if_calibrated" and "ece" in on_clean)
    ]
    asked = analysis.results.chosen.get("metrics", ())
    own = [
        metric
        for metric in on_clean
        if metric not in wanted and (metric in asked or metric not in directions())
    ]
    # Where nothing was measured, a column of dashes still says so; every task has an NLL.
    return [Column(metric, "clean") for metric in [*wanted, *own] or asked or ["nll"]]


def _in_words(metric: str) -> str:
    """Return what a metric is called in a sentence."""
    column = Column(metric, "")
    words = [word if word.isupper() else word.lower() for word in column.title.split()]
    return " ".join(words) + ARROWS[column.direction]


def _rank_cells(analysis: Analysis, metric: str, one: Ranking, claimed: bool) -> dict[str, Cell]:
    """Return the mean ranks by one score; where an order is claimed the best, and what is within reach, are marked."""
    if one.ranks is None:
        return {}
    scores = analysis.results.scores[~analysis.results.scores["dataset"].isin(one.datasets)]
    values = scores[(scores["metric"] == metric) & (scores["condition"] == "clean")].dropna(
        subset="value"
    )
    counts, best = values["method"].value_counts(), min(one.ranks.mean.values())
    runs = analysis.results.runs[
        analysis.results.runs["dataset"].isin(set(values["dataset"]))
        & (analysis.results.runs["status"] == "ok")
    ]
    finished = runs["method"].value_counts()
    return {
        name: Cell(
            fixed(rank, 2),
            values=None if counts[name] == finished[name] else int(counts[name]),
            best=claimed and one.tells and rank - best < one.ranks.critical,
        )
        for name, rank in one.ranks.mean.items()
    }


def _rank_remark(column: Column, one: Ranking) -> str:
    """Say what the ranks of one score rest on."""
    if one.ranks is None:
        return ""
    title = column.title.replace("\n", " ")
    tested = f", Friedman p = {one.ranks.p:.2g}" if math.isfinite(one.ranks.p) else ""
    left_out = f"; {one}" if str(one) else ""
    tested += "" if one.tells else ", too few datasets to tell these methods apart"
    return f"{title}: {one.ranks.datasets} datasets, critical difference {one.ranks.critical:.2f}{tested}{left_out}."


def _seeds_everywhere(analysis: Analysis, method: str) -> Seeds:
    """Count the runs of a method on all datasets."""
    own = [analysis.on(dataset).seeds(method) for dataset in analysis.datasets]
    return Seeds(
        *(
            sum(getattr(one, name) for one in own)
            for name in ("planned", "finished", "unconverged", "unknown")
        )
    )
