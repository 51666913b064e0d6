"""Scores of one model, with intervals by bootstrap over examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bench_uq.api.arguments import names
from bench_uq.api.errors import unknown
from bench_uq.api.metric import Metric
from bench_uq.evaluate import tables
from bench_uq.evaluate.bootstrap import Pair, interval, replicates, scorable, sides
from bench_uq.evaluate.shown import CLEAN, Evaluated, Shown

if TYPE_CHECKING:
    import pandas as pd

    from bench_uq.evaluate.plots import Plots

#: Resamples of the examples behind an interval.
RESAMPLES = 1000


@dataclass(frozen=True)
class Score:
    """One number with its interval by bootstrap over examples; NaN where there is none."""

    condition: str
    level: float | None
    metric: str
    value: float
    low: float
    high: float
    examples: int


@dataclass(frozen=True)
class Scores(Evaluated):
    """Every metric that applies to the predictions of one model, condition by condition.

    In a notebook it is shown as a table. ``scores["ece"]`` is the value on clean data,
    ``scores.at("ece", "fgsm", 0.1)`` that under a condition, with its interval. Intervals have a
    probability of 95 % and are of the test examples alone: another training would differ too.
    """

    resamples: int = RESAMPLES
    seed: int = 0

    @cached_property
    def scores(self) -> tuple[Score, ...]:
        """All scores: conditions as they were given, metrics in the order of lists."""
        found = list[Score]()
        for shown in self.shown:
            found += self._of(shown)
        return tuple(found)

    def _of(self, shown: Shown) -> list[Score]:
        """Scores of one condition."""
        pair = sides(shown, self.clean)
        metrics = [one for one in self.cards.values() if scorable(one, pair)]
        values = {one.id: float(one.compute(*pair)) for one in metrics}

        limits = self._intervals(shown, pair, metrics, values)
        found = []
        for metric in metrics:
            low, high = limits.get(metric.id, (math.nan, math.nan))
            row = Score(
                shown.condition, shown.level, metric.id, values[metric.id], low, high, len(pair[0])
            )
            found.append(row)
        return found

    def _intervals(
        self, shown: Shown, pair: Pair, metrics: Sequence[Metric], values: dict[str, float]
    ) -> dict[str, tuple[float, float]]:
        """Interval of each metric that has a value of its own."""
        # A companion, such as the floor of the ECE, is made of simulations itself.
        beside = {one.companion for one in self.cards.values()}
        wanted = []
        for metric in metrics:
            if metric.id not in beside and math.isfinite(values[metric.id]):
                wanted.append(metric)

        drawn = replicates(wanted, shown, pair, self.resamples, self.seed)
        found = {}
        for metric, column in zip(wanted, drawn.T, strict=True):
            found[metric.id] = interval(values[metric.id], column, metric.bounds)
        return found

    def __getitem__(self, metric: str) -> float:
        """Value of a metric on clean data."""
        return self.at(metric).value

    def at(self, metric: str, condition: str = CLEAN, level: float | None = None) -> Score:
        """Score of a metric under a condition, at its level if it has levels."""
        places = {one.condition for one in self.shown}
        if condition not in places:
            raise unknown("condition", condition, places)
        for score in self.scores:
            same_level = score.level == level or (
                None not in (score.level, level) and math.isclose(score.level or 0, level or 0)
            )
            if (score.metric, score.condition) == (metric, condition) and same_level:
                return score

        here = [score for score in self.scores if score.condition == condition]
        if metric in {score.metric for score in here}:
            levels = {str(score.level) for score in here}
            raise unknown(f"level of {condition}", str(level), levels)
        raise unknown(f"metric of {condition}", metric, {score.metric for score in here})

    def to_frame(self) -> pd.DataFrame:
        """All scores, a row each: condition, level, metric, value, low, high, examples."""
        import pandas as pd

        return pd.DataFrame([vars(score) for score in self.scores])

    def to_latex(self, metrics: Sequence[str] = ()) -> str:
        """The main scores, or those of some metrics, as a table of LaTeX with booktabs."""
        return tables.latex(self._table(names(metrics, "metrics")))

    @property
    def plot(self) -> Plots:
        """Figures of these scores: ``reliability()``, ``rejection()`` and ``entropy()``."""
        from bench_uq.evaluate.plots import Plots

        return Plots(self)

    def save(
        self,
        folder: str | Path,
        *,
        name: str = "",
        dataset: str = "",
        seed: int = 0,
        data_dir: str | Path = "data",
        new_dataset: bool = False,
    ) -> Path:
        """Store the predictions as a run of a suite's folder, such as results/quick, and score it.

        ``name`` is what to call the model, ``dataset`` what it was tested on, and ``seed`` that of
        its training. Examples must be those of the other runs there, in their order.
        """
        from bench_uq.evaluate.save import save

        return save(
            self,
            Path(folder).expanduser(),
            name=name or self.name,
            dataset=dataset or self.dataset,
            seed=seed,
            data_dir=Path(data_dir).expanduser(),
            new_dataset=new_dataset,
        )

    def _table(self, metrics: Sequence[str] = ()) -> tables.Grid:
        """The main scores, or those of some metrics, condition by condition."""
        return tables.grid(self.scores, self.cards, metrics)

    def __str__(self) -> str:
        return tables.text(self._table(), self._title(), self._remarks())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return tables.html(self._table(), self._title(), self._remarks())

    def _title(self) -> str:
        """Name of the model and number of examples."""
        return f"{self.name}: {len(self.shown[0].predictions):,} examples"

    def _remarks(self) -> list[str]:
        """Remarks below the table."""
        how = (
            f"In brackets: 95 % intervals by bootstrap over examples ({self.resamples:,} "
            "resamples). All scores: to_frame()."
        )
        return [how, *self.notes]
