"""The rule of doubling; every number is worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from bench_uq.score.analysis import analyse
from bench_uq.score.cards import Cards
from bench_uq.score.convergence import changes, settled
from bench_uq.score.likeness import at_other_budget, marked
from bench_uq.score.results import Results, select
from bench_uq.score.statistics import compare
from bench_uq.store.budgets import at_budget_name, other_budgets


def scored(values: dict[tuple[str, str], list[float]], budget: dict[float, Results]) -> Results:
    """Results of clean data: a value for each seed by method and metric."""
    rows = []
    for (method, metric), each in values.items():
        for seed, value in enumerate(each):
            rows.append(
                ["digits", method, seed, "clean", math.nan, metric, value, f"{method}{seed}"]
            )
    columns = ["dataset", "method", "seed", "condition", "level", "metric", "value", "run"]
    scores = pd.DataFrame(rows, columns=columns)
    runs = scores[["dataset", "method", "seed", "run"]].drop_duplicates()
    runs = marked(runs.assign(status="ok", diagnosis="", train_seconds=1.0, epochs=20.0))
    return Results("hand", runs, scores, scores.iloc[:0], others=budget)


def test_a_change_is_the_mean_over_the_seeds_of_both_with_its_standard_error() -> None:
    """Half the epochs cost 0.03 to 0.05 nats, more than the tolerance of 0.02 and one error."""
    half = scored({("map", "nll"): [0.25, 0.23, 0.24]}, {})
    ((change,),) = changes(
        scored({("map", "nll"): [0.2, 0.2, 0.2, 0.9]}, {0.5: half}), Cards()
    ).values()
    assert change.mean == pytest.approx(0.04)
    assert change.se == pytest.approx(0.01 / math.sqrt(3))
    assert (change.seeds, change.material) == (3, True)
    assert str(change) == "half the epochs: NLL +0.04 ± 0.0058 (3 seeds)"


@pytest.mark.parametrize(
    ("ours", "theirs", "budget", "material"),
    [
        ([0.20, 0.20, 0.20], [0.21, 0.22, 0.23], 0.5, False),  # 0.02: within the tolerance
        ([0.20, 0.20, 0.20], [0.15, 0.16, 0.14], 0.5, False),  # half the epochs are better
        ([0.20, 0.20, 0.20], [0.15, 0.16, 0.14], 2.0, True),  # twice the epochs are better
        ([0.20, 0.20, 0.20], [0.25, 0.24, 0.26], 2.0, False),  # twice the epochs are worse
        ([0.20, 0.20, 0.20], [0.10, 0.40, 0.31], 0.5, False),  # 0.07 with an error of 0.09
        ([0.20], [0.90], 0.5, False),  # one seed strikes no method
    ],
)
def test_which_changes_mark_a_method(
    ours: list[float], theirs: list[float], budget: float, material: bool
) -> None:
    """A gain of the larger budget counts beyond the tolerance and one standard error."""
    other = scored({("map", "nll"): theirs}, {})
    found = changes(scored({("map", "nll"): ours}, {budget: other}), Cards())
    assert [change.material for change in found["map"]] == [material]


def test_equal_changes_have_no_spread() -> None:
    """0.1 + 0.2 less 0.2 is not quite 0.1; what rounding leaves is not shown."""
    half = scored({("map", "nll"): [0.3, 0.1 + 0.3, 0.1 + 0.2]}, {})
    found = changes(scored({("map", "nll"): [0.2, 0.3, 0.2]}, {0.5: half}), Cards())
    assert [str(change) for change in found["map"]] == ["half the epochs: NLL +0.1 ± 0 (3 seeds)"]


def test_a_report_of_one_metric_keeps_the_mark() -> None:
    """Narrowed to the accuracy, what half the epochs cost in NLL is still known."""
    half = scored({("map", "nll"): [0.9, 0.8], ("map", "accuracy"): [0.9, 0.9]}, {})
    both = scored({("map", "nll"): [0.1, 0.1], ("map", "accuracy"): [0.9, 0.9]}, {0.5: half})
    narrowed = select(both, metrics=["accuracy"])
    assert set(narrowed.scores["metric"]) == {"accuracy"}
    assert analyse(narrowed).seeds("map").improving == analyse(both).seeds("map").improving != ""


def test_more_accuracy_is_a_gain() -> None:
    """Direction counts: the accuracy at half the epochs is lower."""
    half = scored({("map", "accuracy"): [0.90, 0.91]}, {})
    found = changes(scored({("map", "accuracy"): [0.95, 0.95]}, {0.5: half}), Cards())
    (change,) = found["map"]
    assert change.gain == pytest.approx(0.045)
    assert change.material


def test_a_claim_that_turns_is_not_made() -> None:
    """Of two methods that are worse, one is ahead of the best at half the epochs."""
    values = {
        "one": {0: 0.10, 1: 0.11, 2: 0.12},
        "two": {0: 0.50, 1: 0.51, 2: 0.53},
        "three": {0: 0.60, 1: 0.61, 2: 0.63},
        "four": {0: 0.70, 1: 0.71, 2: 0.73},
    }

    found = compare(values, "lower")
    assert found is not None
    assert set(found.worse) == {"two", "three", "four"}

    there = {"one": {0: 0.4, 1: 0.5}, "two": {0: 0.3, 1: 0.4}, "three": {0: 0.8, 1: 0.9}}
    kept = settled(found, [(0.5, there)], "lower")
    assert set(kept.worse) == {"three", "four"}
    assert kept.turned == {"two": 0.5}
    assert set(kept.tied) == {"one", "two"}
    # Nobody ran the fourth at half the epochs.
    assert kept.checked == {"three"}


def test_runs_at_another_budget_share_all_but_their_epochs() -> None:
    """A run of other settings, or of other epochs than the budget says, is none."""
    ours = {"epochs": 15.0, "batch": 64.0, "facts": '{"code": "1"}'}
    half = {**ours, "epochs": 8.0}  # 7.5, rounded
    assert at_other_budget(ours, half, 0.5)
    assert not at_other_budget(ours, half, 2.0)
    assert not at_other_budget(ours, {**half, "batch": 32.0}, 0.5)
    assert not at_other_budget(ours, {**half, "facts": '{"code": "2"}'}, 0.5)
    assert not at_other_budget({"batch": 64.0}, {"batch": 64.0}, 0.5)
    # Half of one epoch is one epoch.
    assert not at_other_budget({**ours, "epochs": 1.0}, {**ours, "epochs": 1.0}, 0.5)


def test_folders_of_other_budgets(tmp_path: Path) -> None:
    """They lie beside the suite's own; folders of other names are none."""
    for name in (
        "quick",
        "quick-x0.5",
        "quick-x2",
        "quick-x1",
        "quick-xl",
        "quick-x-1",
        "mnist-x2",
    ):
        (tmp_path / name).mkdir()

    assert at_budget_name("quick", 1.0) == "quick"
    assert at_budget_name("quick", 0.5) == "quick-x0.5"
    found = other_budgets(tmp_path / "quick")
    assert {budget: path.name for budget, path in found.items()} == {
        0.5: "quick-x0.5",
        2.0: "quick-x2",
    }
