"""The analysis of results, from which tables, figures, page and summary take all numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from bench_uq.score import gradient_masking, labels, stress
from bench_uq.score.cards import Cards
from bench_uq.score.comparisons import Ranking, ranking, verdicts, zero_on_clean
from bench_uq.score.conclusions import Conclusion, conclude, main_scores, strongest
from bench_uq.score.convergence import Change, changes
from bench_uq.score.equivalent import Equivalents, equivalents
from bench_uq.score.results import Results, Seeds, as_level
from bench_uq.score.shifts import Shift, shifts
from bench_uq.score.statistics import Comparison
from bench_uq.score.stress import Family
from bench_uq.score.summaries import (
    Place,
    Scored,
    Shown,
    Summary,
    highest_entropy,
    kinds_last,
    levels,
    summarise,
)
from bench_uq.score.tuning import TunedMethod, tuned_methods


@dataclass(frozen=True, eq=False)
class Analysis:
    """The results of a suite, or on one of its datasets, and all that follows from them.

    All but ``on`` and ``rankings`` are meant for the results on one dataset.
    """

    # Each part is worked out when it is first used, and kept: tables, figures and page ask for the
    # same ones, and a report that is narrowed to some of them does without the others.

    results: Results
    cards: Cards = field(default_factory=Cards)
    #: Levels that stand for conditions, where the reader asked for some.
    asked: Mapping[str, float] = field(default_factory=dict)

    @property
    def methods(self) -> list[str]:
        """The methods in the order in which tables and figures show them."""
        return self.results.methods

    @property
    def datasets(self) -> list[str]:
        """The datasets, those with nothing but failed runs included."""
        return self.results.datasets

    @property
    def dataset(self) -> str:
        """The only dataset."""
        (dataset,) = self.results.datasets
        return dataset

    def seeds(self, method: str) -> Seeds:
        """How many runs of a method were planned and finished, and whether it still improves."""
        return replace(self.results.seeds(method), improving=self._improving(method))

    def _improving(self, method: str) -> str:
        """What larger budgets gain, or on which of several datasets; empty for none."""
        if len(self.datasets) == 1:
            return "; ".join(str(one) for one in self.changes.get(method, ()) if one.material)

        places = [name for name, part in self._parts.items() if part.seeds(method).improving]
        return f"still improving on {', '.join(places)}" if places else ""

    def on(self, dataset: str) -> Analysis:
        """The analysis of one dataset."""
        return self._parts[dataset]

    @cached_property
    def _parts(self) -> dict[str, Analysis]:
        return {name: replace(self, results=self.results.on(name)) for name in self.datasets}

    def label(self, name: str) -> str:
        """A method, dataset or condition as readers see it."""
        return self.results.label(name)

    def spoken(self, method: str) -> str:
        """A method in a sentence: a tuned one without its options, if nothing else is called so.

        The sentence on tuning and all tables have them.
        """
        return self._spoken.get(method, self.label(method))

    @cached_property
    def _spoken(self) -> dict[str, str]:
        """The titles of the tuned methods that no other method shares."""
        short = {one.name: self.label(one.method) for one in self.tuning}
        names = {method: short.get(method, self.label(method)) for method in self.methods}
        counts = Counter(names.values())
        return {method: name for method, name in names.items() if counts[name] == 1}

    def level_name(self, condition: str) -> str:
        """Name of a condition's level on an axis."""
        return labels.level_name(condition, self.results.about)

    def level_unit(self, condition: str) -> str:
        """The same with its unit."""
        return labels.level_unit(condition, self.results.about)

    @cached_property
    def rankings(self) -> dict[str, Ranking]:
        """The ranks of the methods of a suite across its datasets, by metric."""
        ranked = self.cards.shown("ranks")
        return {metric: ranking(self.results, self.cards[metric]) for metric in ranked}

    @cached_property
    def summaries(self) -> dict[Place, Summary]:
        """Every score over its seeds."""
        return summarise(self.results)

    def drawn(
        self, method: str, condition: str, level: float | None, metric: str
    ) -> Summary | None:
        """A score as figures show it; None without a mean, because no axis holds infinity."""
        found = self.summaries.get((method, condition, level, metric))
        return None if found is None or found.lacking else found

    @cached_property
    def levels(self) -> dict[str, list[float]]:
        """The sorted levels of each condition that has levels."""
        return levels(self.results)

    @cached_property
    def measured(self) -> frozenset[tuple[str, str]]:
        """Each metric that was measured, with its condition."""
        pairs = self.results.scores[["metric", "condition"]].drop_duplicates()
        return frozenset(pairs.itertuples(index=False, name=None))

    @cached_property
    def _stored(self) -> frozenset[tuple[str, float | None, str]]:
        """Condition, level and method of all scores and curves."""
        found = set()
        for frame in (self.results.scores, self.results.curves):
            places = frame[["condition", "level", "method"]].drop_duplicates()
            for condition, level, method in places.itertuples(index=False, name=None):
                found.add((condition, as_level(level), method))
        return frozenset(found)

    @cached_property
    def unseen(self) -> list[str]:
        """The out-of-distribution data: conditions without levels other than the clean data."""
        without_levels = {condition for condition, level, _ in self._stored if level is None}
        return sorted(without_levels - {"clean", "train"})

    def methods_shown(self, conditions: Iterable[str]) -> list[str]:
        """The methods that were to be evaluated on one of these conditions.

        Methods trained elsewhere count only if they have a score or curve there.
        """
        asked = set(conditions)
        measured = {method for condition, _, method in self._stored if condition in asked}
        return [name for name in self.methods if name in measured or not self.seeds(name).unknown]

    def level_of(self, condition: str) -> float:
        """The level that stands for a condition: the one asked for, else where methods differ."""
        highest = max(self.levels[condition])
        # Datasets may have levels of their own.
        if self.asked.get(condition) in self.levels[condition]:
            return self.asked[condition]
        return strongest(self.summaries, condition, highest, self.highest_entropy)

    @cached_property
    def shown(self) -> list[Shown]:
        """Clean data, out-of-distribution data, and each attack or shift at one level."""
        found: list[Shown] = [("clean", None)]
        for name in self.unseen:
            found.append((name, None))
        for name in kinds_last(self.levels):
            found.append((name, self.level_of(name)))
        return found

    def shown_with(self, curve: str) -> list[Shown]:
        """``shown``, but at the strongest level with a curve where that level has none."""
        own = self.results.curves
        places = own.loc[own["curve"] == curve, ["condition", "level"]].drop_duplicates()
        stored: dict[str, list[float | None]] = {}
        for condition, level in places.itertuples(index=False, name=None):
            stored.setdefault(condition, []).append(as_level(level))

        found = []
        for condition, level in self.shown:
            there = stored.get(condition, [])
            if there and level not in there:
                level = max(one for one in there if one is not None)
            found.append((condition, level))
        return found

    @cached_property
    def comparable(self) -> list[str]:
        """The methods that may be ordered: those that are alike."""
        apart = frozenset[str]().union(*map(self.results.apart, self.datasets))
        return [method for method in self.methods if method not in apart]

    @cached_property
    def changes(self) -> dict[str, list[Change]]:
        """What other budgets change in each method, on clean data."""
        return changes(self.results, self.cards)

    @cached_property
    def equivalents(self) -> Equivalents | None:
        """The number of networks whose ensemble equals each method; None without an ensemble."""
        return equivalents(self.results, self.comparable)

    @cached_property
    def tuning(self) -> list[TunedMethod]:
        """The trials of each method that was tuned; empty for a suite at its defaults."""
        return tuned_methods(self.results)

    @cached_property
    def shifts(self) -> dict[tuple[str, str], Shift]:
        """What tuning changed on clean data, by method at its default and metric."""
        return shifts(self.results, self.tuning)

    @cached_property
    def unjudged(self) -> dict[str, frozenset[str]]:
        """Methods that a metric cannot judge: the metric that it rests on is 0 on clean data."""
        # A method whose draws do not differ has no mutual information: AUROCs by it say nothing.
        found = {}
        for metric in self.results.scores["metric"].unique():
            basis = self.cards[metric].rests_on
            if basis:
                found[metric] = zero_on_clean(self.results, basis)
        return found

    @cached_property
    def comparisons(self) -> dict[Scored, Comparison]:
        """Which methods are best, for each score that two methods share."""
        return verdicts(self.results, self.cards, self.comparable, self.unjudged)

    @cached_property
    def highest_entropy(self) -> float | None:
        """The largest possible entropy, ln C in nats; None if no entropy is stored."""
        return highest_entropy(self.results)

    @cached_property
    def masking(self) -> list[gradient_masking.Verdict]:
        """Signs of masked gradients, method by method; empty if nothing was attacked."""
        return gradient_masking.checks(
            self.results, self.levels, self.summaries, self.highest_entropy
        )

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """The attacks and shifts, the kinds of a corruption taken together."""
        return stress.families(self.levels)

    @cached_property
    def over_kinds(self) -> Analysis:
        """The results in which the kinds of a family are one condition, named by its title."""
        averaged = stress.over_kinds(self.results, self.families)
        # This one has its parts already.
        if averaged is self.results:
            return self
        return replace(self, results=averaged)

    @cached_property
    def over_levels(self) -> Analysis:
        """The means over the kinds and levels of each family, as conditions without levels."""
        return replace(self, results=self._stress.results)

    @cached_property
    def conclusions(self) -> list[Conclusion]:
        """The comparison at each main score."""
        means = self.over_levels
        main = main_scores(self.cards, self.families, self.unseen, self.level_of)
        comparisons = self.comparisons | means.comparisons
        return conclude(main, self.summaries | means.summaries, comparisons)

    def with_runs_on(self, datasets: Collection[str]) -> Analysis:
        """The same with the runs on some datasets alone, by which labels count seeds."""
        runs = self.results.runs
        return replace(
            self, results=replace(self.results, runs=runs[runs["dataset"].isin(datasets)])
        )

    @property
    def stress_counts(self) -> stress.Counts:
        """Over how many places the means over levels are."""
        return self._stress.counts

    @cached_property
    def _stress(self) -> stress.Stress:
        return stress.stressed(self.results, self.families, self.cards)


def analyse(
    results: Results, cards: Cards | None = None, levels: Mapping[str, float] | None = None
) -> Analysis:
    """Analyse the results of a suite, or on one of its datasets.

    ``levels`` stand for conditions where there is room for one alone.
    """
    return Analysis(results, cards or Cards(), levels or {})
