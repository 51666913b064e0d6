"""Mean ranks of a suite, by hand: of the methods that have a metric on each of its datasets."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd

from bench_uq.score.cards import Cards
from bench_uq.score.comparisons import Ranking, ranking
from bench_uq.score.results import Results
from bench_uq.score.statistics import critical_difference

Scores = dict[str, dict[str, tuple[float, ...]]]

#: NLL by dataset and method, a value a seed.
NLL: Scores = {
    "digits": {"map": (0.3, 0.5), "mnf": (0.1, 0.1), "dropout": (0.2, 0.2)},
    "mnist": {"map": (0.2, 0.2), "mnf": (0.1, 0.5), "dropout": (0.1, 0.1)},
}


def measured(scores: Scores, metric: str = "nll") -> Results:
    """Return results with these values on clean data, a seed each, and none of a missing one."""
    rows = []
    for dataset, methods in scores.items():
        for method, values in methods.items():
            for seed, value in enumerate(values):
                rows.append((dataset, method, seed, "clean", metric, value))
    columns = ["dataset", "method", "seed", "condition", "metric", "value"]
    table = pd.DataFrame(rows, columns=columns)
    runs = table[columns[:3]].drop_duplicates().assign(status="ok", left_out="")
    return Results("suite", runs=runs, scores=table, curves=table.iloc[:0])


def rank(results: Results, metric: str) -> Ranking:
    """Rank the methods of results by an installed metric."""
    return ranking(results, Cards()[metric])


def test_ranks_of_means_over_seeds() -> None:
    """Of the means 0.4, 0.1, 0.2 and 0.2, 0.3, 0.1 the ranks are 3, 1, 2 and 2, 3, 1."""
    found = rank(measured(NLL), "nll")
    assert found.ranks is not None
    assert found.ranks.mean == {"map": 2.5, "dropout": 1.5, "mnf": 2.0}
    assert (found.ranks.datasets, found.ranks.critical) == (2, critical_difference(3, 2))
    assert (found.methods, found.datasets, str(found)) == ((), (), "")


def test_direction_of_the_metric() -> None:
    """Where higher is better the ranks turn round."""
    found = rank(measured(NLL, "accuracy"), "accuracy")
    assert found.ranks is not None
    assert found.ranks.mean == {"map": 1.5, "dropout": 2.5, "mnf": 2.0}


def test_method_without_a_value_is_left_out_and_named() -> None:
    """A method that lacks a seed's value on one dataset takes no part on the others either."""
    scores: Scores = {**NLL, "mnist": {"map": (0.2,), "dropout": (0.1,), "mnf": (0.01, math.nan)}}
    found = rank(measured(scores), "nll")
    assert found.ranks is not None
    assert found.ranks.mean == {"map": 2.0, "dropout": 1.0}
    assert found.methods == ("mnf",)
    assert str(found) == "left out for missing values or other settings: method mnf"


def test_a_dataset_of_one_method_takes_nothing_from_the_others() -> None:
    """It ranks nothing, so it is left out and named, and all methods stay."""
    found = rank(measured({**NLL, "extra": {"map": (0.1,)}}), "nll")
    assert found.ranks == rank(measured(NLL), "nll").ranks
    assert str(found) == "left out for missing values or other settings: dataset extra"


def test_what_leaves_more_of_the_table_is_left_out() -> None:
    """Of five datasets, one of which a method lacks, that dataset goes, not the method; of two, the
    method goes.
    """
    full = {f"d{place}": NLL["digits"] for place in range(4)}
    found = rank(measured({**full, "e": {"map": (0.1,), "mnf": (0.2,)}}), "nll")
    assert (found.methods, found.datasets) == ((), ("e",))
    assert found.ranks is not None
    assert (len(found.ranks.mean), found.ranks.datasets) == (3, 4)


def test_no_ranks_of_one_dataset_or_no_metric() -> None:
    """One dataset ranks nothing, nor does a metric that was not measured or has no direction."""
    assert rank(measured({"digits": NLL["digits"]}), "nll").ranks is None
    assert rank(measured(NLL), "crps").ranks is None
    assert rank(measured(NLL, "entropy"), "entropy").ranks is None


def test_a_method_that_is_not_alike_has_no_rank() -> None:
    """On a dataset where its settings differ from the others', its value counts as missing."""
    values = {method: [place + 0.1] for place, method in enumerate("abc")}
    results = measured({"x": values, "y": values})
    runs = results.runs.assign(batch=64.0, shared="{}")
    runs.loc[(runs["dataset"] == "x") & (runs["method"] == "a"), "batch"] = 32.0
    found = rank(replace(results, runs=runs), "nll")
    assert found.ranks is not None
    assert set(found.ranks.mean) == {"b", "c"}
    assert found.methods == ("a",)
