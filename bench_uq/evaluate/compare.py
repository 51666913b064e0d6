"""Two models on the same labels, compared in pairs of examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench_uq.api.arguments import names
from bench_uq.api.errors import BadValue, unknown
from bench_uq.api.metric import Metric
from bench_uq.evaluate import tables
from bench_uq.evaluate.bootstrap import interval, p_value, replicates, scorable, sides
from bench_uq.evaluate.inputs import as_bad_values
from bench_uq.evaluate.scores import Scores
from bench_uq.evaluate.shown import Shown, place_of

if TYPE_CHECKING:
    import pandas as pd

#: Relative difference of two scores that rounding makes, since models predict in single precision.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Difference:
    """A score of the first model minus that of the second, with its interval.

    ``p`` is two-sided, corrected after Holm for all differences that were asked for. ``better``
    names the better model where ``p`` is below 0.05, else it is empty.
    """

    condition: str
    level: float | None
    metric: str
    first: float
    second: float
    value: float
    low: float
    high: float
    p: float
    better: str

    @property
    def where(self) -> str:
        """Condition and level for people."""
        return place_of(self.condition, self.level)


@dataclass(frozen=True)
class Comparison:
    """Differences of two models on the same examples; in a notebook it is shown as a table."""

    first: str
    second: str
    differences: tuple[Difference, ...]
    resamples: int
    grid: tables.Grid

    def to_frame(self) -> pd.DataFrame:
        """All differences, a row each."""
        import pandas as pd

        return pd.DataFrame([vars(one) for one in self.differences])

    def to_latex(self) -> str:
        """The differences as a table of LaTeX with booktabs."""
        return tables.latex(self.grid)

    def __str__(self) -> str:
        return tables.text(self.grid, self._title(), self._remarks())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return tables.html(self.grid, self._title(), self._remarks())

    def _title(self) -> str:
        """Which model is subtracted from which."""
        return f"{self.first} minus {self.second}"

    def _remarks(self) -> list[str]:
        """Remarks below the table, and the significant differences."""
        how = (
            "In brackets: 95 % intervals by bootstrap over pairs of examples "
            f"({self.resamples:,} resamples), of these test examples and these two trained models."
        )
        lines = [how]
        for name in (self.first, self.second):
            found = [one for one in self.differences if one.better == name]
            names = [f"{one.metric} ({one.where})" for one in found]
            if names:
                lines.append(f"{name} is better in {', '.join(names)} (Holm, 5 %).")
        return lines if len(lines) > 1 else [*lines, "No difference is significant (Holm, 5 %)."]


def compare(first: Scores, second: Scores, *, metrics: Sequence[str] = ()) -> Comparison:
    """Compare two models on the same labels in pairs of examples.

    Conditions that both were shown are compared, by default in the metrics that ``bench-uq check``
    judges. The same examples are drawn for both, so that noise that both share cancels out.
    """
    with as_bad_values():
        return compared(first, second, metrics)


def compared(first: Scores, second: Scores, metrics: Sequence[str]) -> Comparison:
    """Compare the conditions that both were shown."""
    for one in (first, second):
        if not isinstance(one, Scores):
            raise BadValue(f"compare takes what evaluate returns, not a {type(one).__name__}")
    # A sentence on which is better would be of no use.
    if first.name == second.name:
        raise BadValue(f"both models are called {first.name!r}: give them names (name=...)")

    cards = first.cards
    metrics = names(metrics, "metrics")
    for metric in metrics:
        if metric not in cards:
            raise unknown("metric", metric, cards)

    chosen = []
    for card in cards.values():
        # Where neither way is better, nobody is.
        judged_by = card.margin is not None and card.direction != "none"
        if card.id in metrics or (judged_by and not metrics):
            chosen.append(card)

    # Pairs are drawn once for both, so the fewer of the two count.
    resamples = min(first.resamples, second.resamples)
    found = list[Difference]()
    for ours, theirs in shared(first, second):
        found += differences(first, second, (ours, theirs), chosen, resamples)
    if not found:
        raise BadValue("both models share no condition with a score of these metrics")

    corrected = judged(found, first, second)
    grid = tables.grid(corrected, cards, list(dict.fromkeys(one.metric for one in corrected)))
    return Comparison(first.name, second.name, tuple(corrected), resamples, grid)


def shared(first: Scores, second: Scores) -> list[tuple[Shown, Shown]]:
    """Conditions of both models, which must have been shown the same examples."""
    theirs = {(one.condition, one.level): one for one in second.shown}
    found = []
    for ours in first.shown:
        other = theirs.get((ours.condition, ours.level))
        if other is not None:
            require_pairs(ours, other, (first.name, second.name))
            found.append((ours, other))
    return found


def require_pairs(ours: Shown, theirs: Shown, names: tuple[str, str]) -> None:
    """Refuse predictions of two models that are not of the same examples."""
    first, second = names
    one, other = ours.predictions, theirs.predictions
    if len(one) != len(other):
        raise BadValue(
            f"{ours.title}: {first} predicts {len(one)} examples, {second} {len(other)}: pairs "
            "need the same examples"
        )
    if "targets" not in one or "targets" not in other:
        return

    # Rows in another order have the same number of labels, and no pairs.
    same = one["targets"] == other["targets"]
    if not same.all():
        raise BadValue(
            f"{ours.title}: row {int(np.argmin(same))} has another label in {second} than in "
            f"{first}: pairs need the same examples in the same order"
        )


def differences(
    first: Scores,
    second: Scores,
    pair: tuple[Shown, Shown],
    metrics: Sequence[Metric],
    resamples: int,
) -> list[Difference]:
    """Differences under one condition, not yet corrected for their number."""
    ours, theirs = sides(pair[0], first.clean), sides(pair[1], second.clean)

    chosen, values = list[Metric](), list[tuple[float, float]]()
    for metric in metrics:
        both = scorable(metric, ours) and scorable(metric, theirs)
        if not both or blind(metric, first) or blind(metric, second):
            continue
        scores = float(metric.compute(*ours)), float(metric.compute(*theirs))
        # Two infinite scores, as an NLL of impossible labels, have no difference.
        if all(map(math.isfinite, scores)):
            chosen.append(metric)
            values.append(scores)

    one_drawn = replicates(chosen, pair[0], ours, resamples, first.seed)
    other_drawn = replicates(chosen, pair[1], theirs, resamples, first.seed)
    drawn = one_drawn - other_drawn
    # The same predictions in another form, as draws and their mean, differ by rounding alone.
    size = np.maximum(np.abs(one_drawn), np.abs(other_drawn))
    drawn = np.where(np.abs(drawn) <= ROUNDING * size, 0, drawn)

    found = []
    for metric, (one, other), column in zip(chosen, values, drawn.T, strict=True):
        low, high = interval(one - other, column)
        # Not a share of replicates, which could not be below 1/R.
        p = p_value(one - other, column)
        place = (pair[0].condition, pair[0].level, metric.id)
        found.append(Difference(*place, one, other, one - other, low, high, p, ""))
    return found


def blind(metric: Metric, scores: Scores) -> bool:
    """Whether a metric cannot judge a model, as one by mutual information where there is none."""
    if not metric.rests_on or scores.clean is None:
        return False
    basis = scores.cards[metric.rests_on]
    return basis.applies(scores.clean, None) and float(basis.compute(scores.clean, None)) == 0


def judged(found: Sequence[Difference], first: Scores, second: Scores) -> list[Difference]:
    """Differences with p-values after Holm, and the better model where they are significant."""
    # Here, because it loads SciPy's statistics, which takes seconds.
    from bench_uq.score.statistics import holm

    corrected = []
    for one, p in zip(found, holm([one.p for one in found]), strict=True):
        direction, better = first.cards[one.metric].direction, ""
        if p < 0.05 and direction != "none":
            wins = (one.value > 0) == (direction == "higher")
            better = first.name if wins else second.name
        fields = {**vars(one), "p": p, "better": better}
        corrected.append(Difference(**fields))
    return corrected
