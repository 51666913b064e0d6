"""The contract of a metric: a function, and a card that tells the engine everything else."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar, get_args

from bench_uq.api.task import Predictions

Direction = Literal["lower", "higher", "none"]
Scale = Literal["odds", "log", "plain"]
T = TypeVar("T")

#: Arrays that predictions of real targets have alone.
_REAL = {"mean", "variance", "quantiles", "chain_mean", "chain_variance", "chain_quantiles"}
_DIRECTIONS = {
    "lower": "lower is better",
    "higher": "higher is better",
    "none": "neither way is better",
}


@dataclass(frozen=True)
class Axis:
    """How figures draw a metric against the level of an attack or shift."""

    label: str  # with its unit
    chance: Literal["", "1/2", "1/C", "ln C"] = ""  # the value of a guess among C classes
    form: Literal["", "from zero", "log"] = ""


@dataclass(frozen=True)
class Places:
    """The tables and figures that show a metric, each with its position there; None: not there.

    A metric of out-of-distribution data also has a table of its own if its card says ``by``.
    """

    clean: int | None = None  # table of clean data, and main columns of the page
    unseen: int | None = None  # a column per set of out-of-distribution data beside it
    page: int | None = None  # main column of the page alone
    levels: int | None = None  # figures by level; the metric needs an axis
    level_tables: int | None = None  # tables by level
    stress: int | None = None  # tables of means over the levels of an attack or shift
    ranks: int | None = None  # table of mean ranks across datasets, and sentences on clean data
    rank_figure: int | None = None  # critical-difference diagrams
    cost_figure: int | None = None  # figure of quality against cost; the metric needs an axis
    reference_figure: int | None = None  # distances to a reference; the metric needs an axis
    strongest: int | None = None  # sentences on an attack or shift at its strongest level
    kinds: int | None = None  # sentences on the mean over the kinds of a corruption
    overview: int | None = None  # overview and verdict; the metric needs a question


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One number per condition, with its card. NaN in an array that the metric needs gives NaN.

    ``compute`` takes the predictions and others, or None. The others are the clean predictions for
    a metric that is ``against_clean``; those of held-out examples, with their targets, for one that
    is ``against_held_out``; those of the suite's reference for the same inputs for one with
    ``needs_of_reference``. It needs the same arrays of them, but of the reference those that it
    names. For all other metrics they are the clean ones too, and not looked at.
    """

    id: str
    title: str
    compute: Callable[[Predictions, Predictions | None], float]
    direction: Direction
    formula: str
    reference: str
    needs: tuple[str, ...]  # names of arrays of Predictions
    against_clean: bool = False
    against_held_out: bool = False  # such as a threshold that is calibrated on them
    needs_of_reference: tuple[str, ...] = ()  # names of arrays of the reference's predictions
    bins: str | None = None
    positive: str | None = None  # which examples a detection metric calls positive
    bounds: tuple[float, float] = (0.0, math.inf)
    undefined: str = ""  # when it has no value, such as "every prediction is right"

    companion: str = ""  # metric that always stands beside this one, such as the floor of the ECE
    rests_on: str = ""  # metric that is 0 on clean data for methods that this one cannot judge

    question: str = ""  # what it answers in the verdict, in a word or two: "calibration"
    short: str = ""  # heading of a column, on one or two lines; by default the id
    by: str = ""  # second heading, if metrics of one heading stand side by side
    note: str = ""  # sentence below tables with the metric
    by_note: str = ""  # sentence below tables with the second heading
    order: int = 100  # position in lists; metrics of equal order stand as in their file
    shown: Places = field(default_factory=Places)
    axis: Axis | None = None

    margin: float | None = None  # of bench-uq check; None: the metric is not gated
    # A larger gain by a larger budget marks a method as not converged; None: marks none.
    tolerance: float | None = None
    scale: Scale | None = None  # of margins; by default odds if higher is better, else log
    real_scale: Scale | None = None  # for real targets, if it differs

    def __post_init__(self) -> None:
        if self.direction not in get_args(Direction):
            allowed = ", ".join(get_args(Direction))
            raise ValueError(f"direction of {self.id} is {self.direction!r}, not one of {allowed}")
        against = [self.against_clean, self.against_held_out, bool(self.needs_of_reference)]
        if sum(against) > 1:
            raise ValueError(
                f"{self.id} is against one of clean predictions, held-out ones and a reference's, "
                "not several"
            )

    @property
    def is_real(self) -> bool:
        """Whether the metric is of real targets only."""
        return not _REAL.isdisjoint({*self.needs, *self.needs_of_reference})

    @property
    def heading(self) -> str:
        """Heading of a column, perhaps on two lines."""
        return self.short or self.id

    def others(self, clean: T, held_out: T, reference: T) -> T:
        """Of clean, held-out and the reference's predictions those it is computed against."""
        if self.against_held_out:
            return held_out
        return reference if self.needs_of_reference else clean

    @property
    def is_paired(self) -> bool:
        """Whether ``compute`` looks at the others."""
        return self.against_clean or self.against_held_out or bool(self.needs_of_reference)

    def applies(self, predictions: Predictions, others: Predictions | None) -> bool:
        """Whether every array that the metric needs exists, of its ``others`` too."""
        needed = [(predictions, self.needs)]
        if self.is_paired:
            if others is None:
                return False
            needed.append((others, self.needs_of_reference or self.needs))
        return all(set(names) <= source.arrays.keys() for source, names in needed)


def card(metric: Metric) -> str:
    """Definition of a metric as a few aligned lines of text."""
    beside = " (and of the clean data)" if metric.against_clean else ""
    if metric.against_held_out:
        beside = " (and of held-out examples, with their targets)"
    if metric.needs_of_reference:
        names = ", ".join(metric.needs_of_reference)
        beside = f"{' and ' if metric.needs else ''}{names} of the suite's reference"
    parts = {
        "formula": metric.formula,
        "bins": metric.bins,
        "positive": metric.positive,
        "direction": _DIRECTIONS[metric.direction],
        "needs": ", ".join(metric.needs) + beside,
        "reference": metric.reference,
    }

    lines = [f"{metric.id}: {metric.title}"]
    for label, text in parts.items():
        if text:
            lines.append(f"  {label:<9}  {text}")
    return "\n".join(lines)
