"""The derived files of a suite as one object, whole or narrowed to some of its runs and scores."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from bench_uq.api.errors import UsageError, unknown
from bench_uq.api.method import Method
from bench_uq.api.names import plain_name
from bench_uq.score import worst
from bench_uq.score.cards import Cards
from bench_uq.score.likeness import Difference, at_defaults, at_other_budget, differences, marked
from bench_uq.score.naming import Names, names_of, shipped_titles
from bench_uq.score.published import FILE, TEST_ERROR, Reference, read_file
from bench_uq.score.stale import RunKey, stale
from bench_uq.score.trials import Trial, narrowed, of_tuned, read_trials, untuned
from bench_uq.store import check_schema, derived
from bench_uq.store.about import ABOUT, About
from bench_uq.store.budgets import other_budgets
from bench_uq.store.examples import EXAMPLES, Example, read_examples


@dataclass(frozen=True)
class Seeds:
    """How many runs of a method were planned and finished, and what is known of their convergence.

    ``unconverged`` counts the runs of which the method itself says so, such as chains that did not
    mix, ``unknown`` those that were trained elsewhere, which took nobody knows how long.
    ``improving`` says what twice the epochs
    still gain, empty if that is little, or not known.
    """

    planned: int
    finished: int
    unconverged: int
    unknown: int = 0
    improving: str = ""

    @property
    def complete(self) -> bool:
        """Whether every planned run finished."""
        return self.planned == self.finished

    @property
    def marked(self) -> bool:
        """Whether the method has a dagger: it had not converged."""
        return bool(self.unconverged or self.improving)

    def __str__(self) -> str:
        return str(self.finished) if self.complete else f"{self.finished}/{self.planned}"


@dataclass(frozen=True, eq=False)
class Results:
    """The derived files of a suite, or on one of its datasets.

    Scores and curves are those of finished runs.
    """

    suite: str
    runs: pd.DataFrame = field(repr=False)
    scores: pd.DataFrame = field(repr=False)
    curves: pd.DataFrame = field(repr=False)
    references: tuple[Reference, ...] = field(default=(), repr=False)  # published values
    environments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by fingerprint
    about: About = field(default_factory=About, repr=False)  # facts of methods and conditions
    examples: tuple[Example, ...] = field(default=(), repr=False)
    folder: Path | None = None  # that they were read from
    title: str = ""  # of the report; empty: the name of the suite
    siblings: tuple[str, ...] = ()  # all methods of the suite, even if results are narrowed
    chosen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # narrowed to these
    names: Names = field(default_factory=Names, repr=False)  # as readers see them
    #: Code that has changed since a run, by dataset, method and seed.
    stale: Mapping[RunKey, tuple[str, ...]] = field(default_factory=dict, repr=False)
    #: Scores before they were narrowed to some metrics; None: those of ``scores``.
    whole: pd.DataFrame | None = field(default=None, repr=False)
    #: The same runs at other budgets, a share of the epochs; with scores alone.
    others: Mapping[float, Results] = field(default_factory=dict, repr=False)
    trials: tuple[Trial, ...] = field(default=(), repr=False)  # by which the suite was tuned
    #: Runs of the untuned suite with their scores, if this one is tuned and that one is there.
    defaults: Results | None = field(default=None, repr=False)

    @cached_property
    def datasets(self) -> list[str]:
        """The datasets, those with nothing but failed runs included."""
        return sorted(self.runs["dataset"].unique())

    @cached_property
    def methods(self) -> list[str]:
        """The methods in the order in which tables and figures show them."""
        # Reports load no plugin: the facts say where a method stands, for an unknown one nothing.
        position = self.about.methods
        names = set(self.runs["method"])
        return sorted(names, key=lambda name: (position.get(name, Method.order), name))

    @cached_property
    def differences(self) -> dict[str, list[Difference]]:
        """The facts in which the methods on each dataset differ."""
        kept = self.runs[self.runs["left_out"] == ""]
        return {name: differences(kept[kept["dataset"] == name]) for name in self.datasets}

    def label(self, name: str) -> str:
        """A method, dataset or condition as readers see it."""
        return self.names.of(name)

    def apart(self, dataset: str) -> frozenset[str]:
        """The methods that are not compared on a dataset, because they are not alike."""
        return frozenset[str]().union(*(one.apart for one in self.differences[dataset]))

    def on(self, dataset: str) -> Results:
        """The results on one dataset."""
        return replace(
            self,
            runs=self.runs[self.runs["dataset"] == dataset],
            scores=self.scores[self.scores["dataset"] == dataset],
            curves=self.curves[self.curves["dataset"] == dataset],
            references=tuple(one for one in self.references if one.dataset == dataset),
            examples=tuple(one for one in self.examples if one.dataset == dataset),
            whole=None if self.whole is None else self.whole[self.whole["dataset"] == dataset],
            others={budget: one.on(dataset) for budget, one in self.others.items()},
            trials=tuple(one for one in self.trials if one.dataset == dataset),
            defaults=None if self.defaults is None else self.defaults.on(dataset),
        )

    def seeds(self, method: str) -> Seeds:
        """How many runs a method has; meant for the results on one dataset."""
        return self._seeds.get(method, Seeds(0, 0, 0))

    def curve(self, name: str, method: str, condition: str, level: float | None) -> pd.DataFrame:
        """The points of one curve on one dataset, all seeds."""
        nothing = np.empty(0, int)
        return self.curves.iloc[self._curve_rows.get((name, method, condition, level), nothing)]

    @cached_property
    def _seeds(self) -> dict[str, Seeds]:
        """Planned, finished and unconverged runs of each method."""
        found = {}
        for method, own in self.runs.groupby("method", observed=True):
            # A copy of a run is none, and one of other settings is in no mean.
            own = own[own["left_out"] == ""]
            finished = own[own["status"] == "ok"]
            loose, unknown = (
                (finished["diagnosis"] != "").sum(),
                finished["train_seconds"].isna().sum(),
            )
            found[str(method)] = Seeds(len(own), len(finished), int(loose), int(unknown))
        return found

    @cached_property
    def _curve_rows(self) -> dict[tuple[str, str, str, float | None], np.ndarray]:
        """The rows of each curve."""
        # Found once: figures ask for hundreds of curves, each of which would scan millions of rows.
        # Without observed=True pandas would make a group of every combination of categories.
        keys = ["curve", "method", "condition", "level"]
        groups: Any = self.curves.groupby(keys, dropna=False, observed=True, sort=False).indices
        found = {}
        for (curve, method, condition, level), rows in groups.items():
            found[curve, method, condition, as_level(level)] = rows
        return found


def as_level(value: float) -> float | None:
    """Level of a condition from a table, where NaN stands for None."""
    # NaN does not equal itself, so it is no key of a dictionary.
    return None if math.isnan(value) else float(value)


def read(suite: Path, cards: Cards | None = None, plugins: Collection[Path] = ()) -> Results:
    """Read the derived files of the folder of a suite, and reference.csv if it exists.

    ``cards`` are those of the known metrics, by default of the installed ones; ``plugins`` are
    files of the user, whose present code counts.
    """
    require_folder(suite)
    # First, because in files of a later schema the same words may mean something else.
    check_schema(suite)
    runs = read_runs(suite)
    scores_file = derived.scores_file(suite)
    scores = with_groups(derived.table(scores_file), suite / derived.BY_GROUP)
    curves_file = derived.curves_file(suite)
    curves = derived.table(curves_file, derived.CURVES)
    if runs.empty:
        raise UsageError(f"{derived.runs_file(suite)} holds no runs (make them with: bench-uq run)")

    trials: tuple[Trial, ...] = ()
    file = of_tuned(suite)
    if file is not None:
        trials = read_trials(file)
    references: tuple[Reference, ...] = ()
    if (suite / FILE).is_file():
        references = tuple(read_file(suite / FILE, cards))
    return Results(
        suite=suite.resolve().name,
        folder=suite,
        siblings=tuple(sorted(set(runs["method"]))),
        runs=runs,
        scores=_finished(scores, runs, scores_file),
        curves=_finished(curves, runs, curves_file),
        references=references,
        environments=derived.environments(suite / "environment.json"),
        about=derived.about(suite / ABOUT),
        examples=tuple(read_examples(suite / EXAMPLES)),
        stale=stale(suite, plugins),
        others=read_others(suite, runs),
        trials=trials,
        defaults=read_defaults(suite, runs, trials),
    )


def require_folder(suite: Path) -> None:
    """Refuse a folder of results that is not there, with the name of the nearest."""
    if not suite.is_dir():
        there = [path.name for path in suite.parent.glob("*") if path.is_dir()]
        hint = ""
        for near in difflib.get_close_matches(suite.name, there, n=1):
            hint = f"; did you mean {near!r}?"
        raise UsageError(f"missing folder {suite}{hint} (make it with: bench-uq run)")


def named(results: Results, labels: Mapping[str, str] = MappingProxyType({})) -> Results:
    """The results with the titles of plugins, and ``labels`` by name before these.

    A label of something that is not in the results raises UsageError with the known names.
    """
    conditions = list(map(str, results.scores["condition"].unique()))
    kinds = {
        "method": results.siblings or results.methods,
        "condition": conditions,
        "dataset": [*results.datasets, *conditions],
    }
    names = dict.fromkeys([*kinds["method"], *results.datasets, *conditions])
    known = {*names, *map(plain_name, names)}
    for name in labels:
        if name not in known:
            raise unknown(f"name to label in {results.suite}", name, known)

    titles = {**shipped_titles(kinds), **worst.TITLES, **results.about.titles, **labels}
    return replace(results, names=names_of(names, titles, labels))


def with_groups(scores: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Scores with columns of their pseudo-values by group of examples (jackknife.py).

    They stay as they are without the file.
    """
    if not path.exists():
        return scores
    groups = derived.table(path).drop(columns="run")
    keys = derived.KEYS[derived.BY_GROUP]
    for name in set(keys) & set(scores.select_dtypes("category")):
        # Categories are joined as such only if they are the same.
        groups[name] = groups[name].cat.set_categories(scores[name].cat.categories)

    columns = list(derived.GROUP_COLUMNS)
    groups[columns] = groups[columns].astype("float32")
    return scores.merge(groups, how="left", on=keys, validate="one_to_one")


def read_others(suite: Path, runs: pd.DataFrame) -> dict[float, Results]:
    """The finished runs of a suite at other budgets that differ from ``runs`` in epochs alone."""
    ours = {}
    for run in runs[(runs["status"] == "ok") & (runs["left_out"] == "")].to_dict("records"):
        ours[run["dataset"], run["method"], run["seed"]] = run

    found = {}
    for budget, folder in other_budgets(suite).items():
        scores_file = derived.scores_file(folder)
        if not scores_file.is_file() or not derived.runs_file(folder).is_file():
            continue
        check_schema(folder)
        theirs = read_runs(folder)
        alike = []
        for run in theirs.to_dict("records"):
            own = ours.get((run["dataset"], run["method"], run["seed"]))
            finished = run["status"] == "ok" and run["left_out"] == ""
            alike.append(own is not None and finished and at_other_budget(own, run, budget))

        theirs = theirs[alike]
        if theirs.empty:
            continue
        scores = derived.table(scores_file)
        scores = scores[scores["run"].isin(theirs["run"])]
        found[budget] = Results(folder.name, theirs, scores, scores.iloc[:0])
    return found


def read_defaults(suite: Path, runs: pd.DataFrame, trials: Collection[Trial]) -> Results | None:
    """The finished runs of the untuned suite that differ from ``runs`` in the tuned things alone.

    None without trials, which say which method became which, or without that suite.
    """
    folder = untuned(suite)
    if folder is None or not trials:
        return None

    tuned = {}
    for run in runs.to_dict("records"):
        tuned[run["dataset"], run["method"], run["seed"]] = run
    became, settings = dict[tuple[str, str], str](), dict[tuple[str, str], set[str]]()
    for one in trials:
        settings.setdefault(one.place, set()).update(one.settings)
        if one.chosen:
            became[one.place] = one.called

    check_schema(folder)
    theirs = read_runs(folder)
    kept = []
    for run in theirs.to_dict("records"):
        place = run["dataset"], run["method"]
        own = tuned.get((run["dataset"], became.get(place, ""), run["seed"]))
        finished = run["status"] == "ok" and run["left_out"] == "" and place in became
        kept.append(finished and (own is None or at_defaults(own, run, settings[place])))

    theirs = theirs[kept]
    scores = derived.table(derived.scores_file(folder))
    scores = with_groups(scores, folder / derived.BY_GROUP)
    scores = scores[scores["run"].isin(theirs["run"])]
    return Results(folder.name, theirs, scores, scores.iloc[:0])


def read_runs(suite: Path) -> pd.DataFrame:
    """Rows of runs.csv, with the reason why a run is ``left_out`` of all means, empty for most."""
    return marked(derived.table(derived.runs_file(suite)))


def select(
    results: Results,
    *,
    methods: Collection[str] = (),
    datasets: Collection[str] = (),
    metrics: Collection[str] = (),
    conditions: Collection[str] = (),
    cards: Cards | None = None,
) -> Results:
    """The results of some methods, datasets, metrics and conditions, empty for all.

    A condition without options stands for all that have this plain name; clean data stay.

    An unknown name raises UsageError with the known ones.
    """
    for kind, asked, known in (
        ("method", methods, results.methods),
        ("dataset", datasets, results.datasets),
        ("metric", metrics, set(results.scores["metric"])),
    ):
        for name in asked:
            if name not in known:
                raise unknown(f"{kind} in {results.suite}", name, known)

    runs, scores, curves = results.runs, results.scores, results.curves
    kept_conditions = set[str]()
    if conditions:
        known = set(map(str, scores["condition"].unique()))
        kept_conditions |= {"clean", "train"}
        for asked_for in conditions:
            found = {name for name in known if asked_for in (name, plain_name(name))}
            if not found:
                offered = known | set(map(plain_name, known))
                raise unknown(f"condition in {results.suite}", asked_for, offered)
            kept_conditions |= found
        scores = scores[scores["condition"].isin(kept_conditions)]
        curves = curves[curves["condition"].isin(kept_conditions)]
    for column, names in (("method", methods), ("dataset", datasets)):
        if names:
            runs = runs[runs[column].isin(names)]
            scores = scores[scores[column].isin(names)]
            curves = curves[curves[column].isin(names)]
    if runs.empty:
        where = f"{', '.join(methods)} on {', '.join(datasets)}"
        raise UsageError(f"no run of {where} in {results.suite}")

    references = results.references
    if metrics:
        cards, kept, published = cards or Cards(), list(metrics), {*metrics}
        for name in metrics:
            kept += cards.beside(name)
        scores = scores[scores["metric"].isin(kept)]

        # Papers print the accuracy as a test error.
        if "accuracy" in metrics:
            published.add(TEST_ERROR)
        references = tuple(one for one in references if one.metric in published)

    pairs = set(zip(runs["method"], runs["dataset"], strict=True))
    trials = results.trials
    if methods or datasets:
        trials = narrowed(trials, {(dataset, method) for method, dataset in pairs})
    return replace(
        results,
        runs=runs,
        scores=scores,
        curves=curves,
        references=references,
        whole=results.scores if metrics else None,
        examples=_shown_examples(results.examples, pairs, kept_conditions),
        trials=trials,
        defaults=_defaults_of(results.defaults, trials),
        chosen={
            "methods": tuple(methods),
            "datasets": tuple(datasets),
            "metrics": tuple(metrics),
            "conditions": tuple(conditions),
        },
    )


def _shown_examples(
    examples: Iterable[Example], pairs: Collection[tuple[str, str]], conditions: Collection[str]
) -> tuple[Example, ...]:
    """The examples of some methods on some datasets, and of some conditions, empty for all."""
    kept = [one for one in examples if (one.method, one.dataset) in pairs]
    return tuple(one for one in kept if not conditions or one.condition in conditions)


def _defaults_of(defaults: Results | None, trials: Iterable[Trial]) -> Results | None:
    """The runs at the default of the methods that have trials."""
    if defaults is None:
        return None

    places = {one.place for one in trials}
    runs = defaults.runs
    kept = [place in places for place in zip(runs["dataset"], runs["method"], strict=True)]
    runs = runs[kept]
    scores = defaults.scores[defaults.scores["run"].isin(runs["run"])]
    return replace(defaults, runs=runs, scores=scores)


def _finished(table: pd.DataFrame, runs: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Rows of finished runs, after a check that every row belongs to a run that is listed."""
    keys = ["dataset", "method", "seed", "run"]
    listed = set(runs[keys].itertuples(index=False, name=None))
    for key in table[keys].drop_duplicates().itertuples(index=False, name=None):
        if key not in listed:
            raise UsageError(
                f"{path}: run {key[-1]!r} is not the one in runs.csv "
                "(make both anew with: bench-uq score)"
            )

    # A run may have failed after some of its evaluations, or belong in no mean. Curves of many
    # runs are not copied without need: they take most of a report's memory.
    whole = (runs["status"] == "ok") & (runs["left_out"] == "")
    finished = table["run"].isin(runs.loc[whole, "run"])
    if finished.all():
        return table
    return table[finished].reset_index(drop=True)
