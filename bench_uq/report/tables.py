"""What tables show, in no format yet: rows of methods, columns of scores, cells rounded to their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from statistics import median

from bench_uq.report.frames import Results, Seeds
from bench_uq.report.summaries import Summary, levels, methods_shown, summarise, unseen_conditions

#: The scores of clean data that a summary shows, of any task, in this order.
CLEAN = ("accuracy", "rmse", "nll", "brier", "crps", "ece", "ece_if_calibrated", "adaptive_ece", "picp", "mpiw")
#: The scores of unseen data that a summary shows.
UNSEEN = ("auroc_entropy",)
#: The scores of attacked or shifted data that a summary shows.
LEVELLED = ("accuracy", "entropy")
#: Short titles; a second line of a title stands apart.
TITLES = {
    "accuracy": "Accuracy",
    "rmse": "RMSE",
    "nll": "NLL",
    "brier": "Brier",
    "crps": "CRPS",
    "ece": "ECE",
    "ece_if_calibrated": "ECE\n(calibrated)",
    "adaptive_ece": "Adaptive\nECE",
    "picp": "PICP",
    "mpiw": "MPIW",
    "auroc_entropy": "AUROC",
    "entropy": "Mean entropy",
}


@dataclass(frozen=True)
class Column:
    """One score as a column: its metric, where it was measured, and what stands above it."""

    metric: str
    condition: str
    level: float | None = None

    @property
    def title(self) -> str:
        """Return what the metric is called above a column, which may take two lines."""
        return TITLES.get(self.metric, self.metric)

    @property
    def direction(self) -> str:
        """Return whether higher or lower is better, or none."""
        return directions().get(self.metric, "none")


@dataclass(frozen=True)
class Cell:
    """A rounded mean, its spread (empty for one seed), and the number of values where seeds are missing."""

    mean: str = ""
    spread: str = ""
    values: int | None = None


@dataclass(frozen=True)
class Row:
    """One method: its seeds and a cell a column."""

    method: str
    seeds: Seeds
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Rows under columns; the same places are numbers or holes in every format."""

    dataset: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def clean_table(results: Results) -> Table:
    """Return the table of clean and unseen data of the results on one dataset."""
    measured = set(zip(results.scores["metric"], results.scores["condition"], strict=True))
    on_clean = sorted(metric for metric, condition in measured if condition == "clean")
    own = [metric for metric in on_clean if metric not in directions()]
    wanted = [metric for metric in CLEAN if metric in on_clean or (metric == "ece_if_calibrated" and "ece" in on_clean)]
    # Where no run finished, a column of dashes still says so; every task has an NLL.
    columns = [Column(metric, "clean") for metric in [*wanted, *own] or ["nll"]]
    unseen = [Column(metric, name) for metric in UNSEEN for name in unseen_conditions(results)]
    columns += [column for column in unseen if (column.metric, column.condition) in measured]
    return _table(results, columns, results.methods)


def level_tables(results: Results) -> list[Table]:
    """Return a table by level for each attack or shift and score, as far as it was measured."""
    measured = set(zip(results.scores["metric"], results.scores["condition"], strict=True))
    return [
        _table(results, [Column(metric, condition, level) for level in values], methods_shown(results, [condition]))
        for condition, values in levels(results).items()
        for metric in LEVELLED
        if (metric, condition) in measured
    ]


def _table(results: Results, columns: Iterable[Column], methods: list[str]) -> Table:
    """Fill the cells of methods on one dataset, each column with its own fixed number of decimals."""
    columns = tuple(columns)
    summaries = summarise(results)
    filled = []
    seeds = {method: results.seeds(method) for method in methods}
    for column in columns:
        found = {name: summaries.get((name, column.condition, column.level, column.metric)) for name in methods}
        digits = decimals(summary for summary in found.values() if summary)
        filled.append([cell(found[name], seeds[name].finished, digits) for name in methods])
    cells = dict(zip(methods, zip(*filled, strict=True), strict=True))
    (dataset,) = results.datasets
    return Table(dataset, columns, tuple(Row(method, seeds[method], cells[method]) for method in methods))


def cell(summary: Summary | None, finished: int, digits: int) -> Cell:
    """Round one score; say how many seeds it rests on where finished runs lack it."""
    if summary is None:
        return Cell()
    spread = fixed(summary.sd, digits) if math.isfinite(summary.sd) else ""
    return Cell(fixed(summary.mean, digits), spread, None if summary.seeds == finished else summary.seeds)


def decimals(summaries: Iterable[Summary]) -> int:
    """Return how many decimals a column deserves.

    The middle spread keeps one significant digit, or two if they are below 36, the rule of the Particle Data Group;
    without spreads, three decimals. At least three digits of the largest mean stay, and at most four decimals unless
    that mean is tiny.
    """
    summaries = list(summaries)
    means = [abs(summary.mean) for summary in summaries if math.isfinite(summary.mean) and summary.mean != 0]
    spreads = [summary.sd for summary in summaries if math.isfinite(summary.sd) and summary.sd > 0]
    size = math.floor(math.log10(max(means))) if means else 0
    wanted = 3 - max(size, 0)
    if spreads:
        scale = math.floor(math.log10(median(spreads)))
        wanted = -scale + (1 if median(spreads) < 3.55 * 10.0**scale else 0)
    return max(0, 2 - max(size, 0), min(wanted, max(4, 2 - size)))


def fixed(value: float, digits: int) -> str:
    """Write a number with that many decimals, and no minus before a zero."""
    text = f"{value:.{digits}f}".replace("inf", "∞")
    return text.removeprefix("-") if not text.strip("-0.") else text


@cache
def directions() -> dict[str, str]:
    """Return the direction of every metric that has a card."""
    from bench_uq.metrics import METRICS

    return {metric.id: metric.direction for metric in METRICS}
