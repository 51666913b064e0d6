"""How the methods on a dataset were tuned, and what that changed, in no format yet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench_uq.report.tables.captions import headings
from bench_uq.report.tables.captions import notes as marks
from bench_uq.report.tables.provenance import span
from bench_uq.report.tables.table import Cell, Column, Row, Table
from bench_uq.score.analysis import Analysis
from bench_uq.score.results import Seeds
from bench_uq.score.rounding import decimals, fixed, signed
from bench_uq.score.shifts import Shift
from bench_uq.score.summaries import Summary
from bench_uq.score.tuning import TunedMethod

#: The line beneath the title of a column of differences.
UNDER = "difference"
#: Says in place of options and settings that no trial beat the default.
DEFAULT = "the default"
#: Columns of all but the differences.
HEADS = ("chosen", "trials", "training (s)", "validation NLL, default", "validation NLL, chosen")


@dataclass(frozen=True)
class Choice:
    """The chosen trial of a method: its options and settings, and the numbers as they are shown."""

    method: str
    chosen: str
    trials: str  # with those that diverged, if any
    seconds: str  # of training, of all trials
    default_nll: str  # of held-out examples
    chosen_nll: str


@dataclass(frozen=True)
class Tuning:
    """The choices on one dataset, and the differences that they make; None without the defaults.

    ``legend`` explains both, sentence by sentence.
    """

    dataset: str
    choices: tuple[Choice, ...]
    differences: Table | None
    words: str
    legend: tuple[str, ...]

    @property
    def heads(self) -> list[str]:
        """Headings behind that of the method, each in one line."""
        if self.differences is None:
            return list(HEADS)
        return [*HEADS, *headings(self.differences)]

    @property
    def caption(self) -> str:
        """Subject and legend."""
        return " ".join([f"{self.dataset}: tuning; {self.words}.", *self.legend])


def tuning(analysis: Analysis) -> Tuning | None:
    """How the methods on one dataset were tuned; None if no trials are known."""
    methods = analysis.tuning
    if not methods:
        return None

    legend = _on_choice(methods)
    differences = _differences(analysis, methods)
    if differences is not None:
        legend += [_on_differences(analysis, differences), *marks(differences)]
    choices = _choices(analysis, methods)
    return Tuning(
        analysis.label(analysis.dataset), choices, differences, words(methods), tuple(legend)
    )


def words(methods: Sequence[TunedMethod]) -> str:
    """How many trials each method had, and over how many seeds."""
    studies, trials, seeds = set[int](), list[int](), list[int]()
    for one in methods:
        studies |= one.studies.keys()
        trials += map(len, one.studies.values())
        seeds.append(one.seeds)

    said = f"{span(trials)} trials each"
    if len(studies) > 1:
        said += f" in each of {len(studies)} studies"
    if any(one.apart for one in methods):
        return f"{said}, for each of {span(seeds)} seeds by its own validation NLL"
    noun = "seed" if max(seeds) == 1 else "seeds"
    return f"{said}, validation NLL over {span(seeds)} tuning {noun}"


def _choices(analysis: Analysis, methods: Sequence[TunedMethod]) -> tuple[Choice, ...]:
    """The chosen trial of each method."""
    values = []
    for one in methods:
        values.append(one.chosen_nll)
        if one.default is not None:
            values.append(one.default.nll)
    digits, of_seconds = _decimals(values), _decimals([one.seconds for one in methods])

    found = []
    for one in methods:
        default = ""
        if one.default is not None:
            default = fixed(one.default.nll, digits)
        trials = str(len(one.trials))
        if one.diverged:
            trials += f" ({one.diverged} diverged)"

        seconds, nll = fixed(one.seconds, of_seconds), fixed(one.chosen_nll, digits)
        found.append(
            Choice(analysis.label(one.method), _chosen(one), trials, seconds, default, nll)
        )
    return tuple(found)


def _chosen(method: TunedMethod) -> str:
    """The options and settings that were chosen, and for how many seeds the default was."""
    if method.kept:
        return DEFAULT
    chosen = ", ".join(f"{name}={value}" for name, value in method.changes.items())
    if method.kept_seeds:
        chosen += f"; {DEFAULT} for {method.kept_seeds} of {len(method.choices)} seeds"
    return chosen


def _decimals(values: Sequence[float]) -> int:
    """The decimals of a column of numbers that have no spread."""
    return decimals(Summary(value, math.nan, value, value, 1) for value in values)


def _differences(analysis: Analysis, methods: Sequence[TunedMethod]) -> Table | None:
    """The differences of main scores and of those asked for; None if there are none."""
    asked = analysis.results.chosen.get("metrics", ())
    known = {metric for _, metric in analysis.shifts}
    columns, cells = [], []
    for metric in dict.fromkeys([*analysis.cards.shown("rank_figure"), *asked]):
        card = analysis.cards[metric]
        if metric in known and card.direction != "none":
            columns.append(Column(card, "clean", under=UNDER))
            cells.append(_cells(analysis, methods, metric))
    if not columns:
        return None

    seeds_of = dict[str, int]()
    for (method, _), own in analysis.shifts.items():
        seeds_of[method] = max(own.seeds, seeds_of.get(method, 0))

    rows = []
    for place, one in enumerate(methods):
        seeds = seeds_of.get(one.method, 0)
        shown = tuple(column[place] for column in cells)
        rows.append(Row(one.method, Seeds(seeds, seeds, 0), shown, analysis.label(one.method)))
    dataset = analysis.label(analysis.dataset)
    return Table(dataset, tuple(columns), tuple(rows), "tuned less default")


def _cells(analysis: Analysis, methods: Sequence[TunedMethod], metric: str) -> list[Cell]:
    """The differences of one score, rounded by the width of their intervals."""
    found = [analysis.shifts.get((one.method, metric)) for one in methods]
    rough = []
    for known in filter(None, found):
        half = (known.high - known.low) / 2
        rough.append(Summary(known.mean, half, known.low, known.high, known.seeds))
    digits = decimals(rough)

    cells = []
    for one, shift in zip(methods, found, strict=True):
        if shift is None:
            cells.append(Cell())
        elif one.kept:
            cells.append(Cell("0"))
        else:
            cells.append(Cell(signed(shift.mean, digits), interval=_interval(shift, digits)))
    return cells


def _interval(shift: Shift, digits: int) -> str:
    """Both ends of an interval, empty if it is not known."""
    if math.isnan(shift.low):
        return ""
    return f"{fixed(shift.low, digits)}, {fixed(shift.high, digits)}"


def _on_choice(methods: Sequence[TunedMethod]) -> list[str]:
    """Sentences on the choice of trials."""
    said = [
        "Chosen: the trial of the lowest mean NLL of held-out training examples, the default "
        "among them; as the lowest of several it is too low for new data.",
        "Training: of all trials and tuning seeds together.",
    ]

    if any(one.apart for one in methods):
        said = [
            "Chosen: for each seed the trial of the lowest NLL of examples held out of its own "
            "training split, the default among them; as the lowest of several it is too low for "
            "new data. Options and settings: their range over the seeds, NLL: the mean.",
            "Training: of all trials and seeds together.",
        ]
    if any(one.diverged for one in methods):
        said.append("Diverged: a trial without a finite NLL.")
    return said


def _on_differences(analysis: Analysis, table: Table) -> str:
    """A sentence on the differences and their intervals."""
    shown = {column.metric for column in table.columns}
    known = []
    for (_, metric), shift in analysis.shifts.items():
        if metric in shown and not math.isnan(shift.low):
            known.append(shift)

    claim = "for new seeds"
    if known and all(one.crossed for one in known):
        claim = "for new seeds and new test examples"
    whose = "n seeds of both"
    if not any(one.apart for one in analysis.tuning):
        whose += " that took no part in tuning"
    return (
        f"Difference: tuned less default on the test split, over {whose}, with its 95 % interval "
        f"({claim}; each alone, without a correction)."
    )
