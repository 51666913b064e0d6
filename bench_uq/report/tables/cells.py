"""What tables are made of: columns, cells rounded to their uncertainty, rows, and what scores are called."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from bench_uq.score.results import Seeds
from bench_uq.score.summaries import Scored, Summary, directions

#: By what unseen data are told from clean data, as it stands above a column.
BY = {"entropy": "entropy", "epistemic": "MI", "confidence": "1 – max p"}
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
    "entropy": "Mean entropy",
    "entropy_right": "Mean entropy\nof right ones",
    "entropy_wrong": "Mean entropy\nof errors",
    "epistemic": "Mutual\ninformation",
    "accuracy_kept_80": "Accuracy\n(80 % kept)",
    "accuracy_kept_50": "Accuracy\n(50 % kept)",
    "coverage_at_risk_1": "Coverage at\n1 % errors",
    "coverage_at_risk_5": "Coverage at\n5 % errors",
    "auroc_errors_entropy": "AUROC\nof errors",
    "unmoved": "Unmoved",
    **{f"auroc_{by}": "AUROC" for by in BY},
    **{f"aupr_{by}": "AUPR" for by in BY},
    **{f"fpr95_{by}": "FPR95" for by in BY},
    "parameters": "Parameters",
    "epochs": "Epochs",
    "draws": "Draws\n(at most)",
    "train_seconds": "Training\n(s)",
    "seconds_per_1000": "1,000 predic-\ntions (s)",
    "peak_memory": "Peak\nmemory (MB)",
}


@dataclass(frozen=True)
class Column:
    """One score as a column: its metric, where it was measured, and what stands above it."""

    metric: str
    condition: str
    level: float | None = None
    under: str = ""  # what stands beneath the title

    @property
    def title(self) -> str:
        """Return what the metric is called above a column, which may take two lines."""
        return TITLES.get(self.metric, self.metric)

    @property
    def direction(self) -> str:
        """Return whether higher or lower is better, or none."""
        return directions().get(self.metric, "none") if self.condition != "ranks" else "none"

    @property
    def scored(self) -> Scored:
        """Return what the column is of, as verdicts name it."""
        return self.condition, self.level, self.metric


@dataclass(frozen=True)
class Cell:
    """A rounded mean, its spread (empty for one seed), and the number of values where seeds are missing.

    ``best`` tells whether it is the best or not distinguishable from it.
    """

    mean: str = ""
    spread: str = ""
    values: int | None = None
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One method: its seeds and a cell a column."""

    method: str
    seeds: Seeds
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Rows under columns; the same places are numbers or holes in every format.

    ``remarks`` are sentences in plain text that belong to it; ``compared`` columns have a verdict.
    """

    dataset: str  # empty: across datasets
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    subject: str = ""
    remarks: tuple[str, ...] = ()
    compared: int = 0


def cell(summary: Summary | None, finished: int, digits: int, *, best: bool = False) -> Cell:
    """Round one score; say how many seeds it rests on where finished runs lack it."""
    if summary is None:
        return Cell()
    varied = math.isfinite(summary.sd) and (summary.sd > 0 or digits > 0)
    spread = fixed(summary.sd, digits) if varied else ""
    return Cell(
        fixed(summary.mean, digits),
        spread,
        None if summary.seeds == finished else summary.seeds,
        best,
    )


def decimals(summaries: Iterable[Summary]) -> int:
    """Return how many decimals a column deserves.

    The middle spread keeps one significant digit, or two if they are below 36, the rule of the Particle Data Group;
    without spreads, three decimals. At least three digits of the largest mean stay, and at most four decimals unless
    that mean is tiny.
    """
    summaries = list(summaries)
    means = [
        abs(summary.mean)
        for summary in summaries
        if math.isfinite(summary.mean) and summary.mean != 0
    ]
    spreads = [summary.sd for summary in summaries if math.isfinite(summary.sd) and summary.sd > 0]
    size = math.floor(math.log10(max(means))) if means else 0
    wanted = 3 - max(size, 0)
    if spreads:
        scale = math.floor(math.log10(median(spreads)))
        wanted = -scale + (1 if median(spreads) < 3.55 * 10.0**scale else 0)
    return max(0, 2 - max(size, 0), min(wanted, max(4, 2 - size)))


def fixed(value: float, digits: int) -> str:
    """Write a number with that many decimals, thousands parted, and no minus before a zero."""
    text = f"{value:,.{digits}f}".replace("inf", "∞")
    return text.removeprefix("-") if not text.strip("-0.") else text
