"""Tables of means over kinds and levels: of the same places for all runs; what is not there is seen to be missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench_uq.report.tables.captions import caption
from bench_uq.report.tables.stress import stress_tables
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read

Build = Callable[..., Path]


def scores(
    *rows: tuple[str, int, str, float, float | str], metric: str = "accuracy"
) -> list[dict[str, Any]]:
    """Return scores by method, seed, condition, level and value."""
    keys = ("method", "seed", "condition", "level", "value")
    return [{**dict(zip(keys, row, strict=True)), "metric": metric} for row in rows]


def of(hand_made: Build, made: list[dict[str, Any]], **others: Any) -> Results:
    """Return results on one dataset."""
    return read(hand_made(made, **others)).on("digits")


def test_mean_over_kinds_and_levels_then_over_seeds(hand_made: Build) -> None:
    """Seed 0 has 0.8, 0.6, 0.4, 0.2 and seed 1 a tenth more of each: 0.5 and 0.6 have mean 0.55 and deviation 0.071."""
    places = [
        ("corruption", 1.0),
        ("corruption", 2.0),
        ("corruption[kind=snow]", 1.0),
        ("corruption[kind=snow]", 2.0),
    ]
    made = scores(
        *(
            ("map", seed, *place, value + seed / 10)
            for seed in (0, 1)
            for place, value in zip(places, (0.8, 0.6, 0.4, 0.2), strict=True)
        )
    )
    results = of(hand_made, made)
    (table,) = stress_tables(analyse(results)).values()
    (cell,) = table.rows[0].cells
    assert (cell.mean, cell.spread) == ("0.55", "0.07")
    assert "under corruption, mean over 2 kinds and severity 1, 2" in caption(table)
    assert "Kinds: the default, snow." in caption(table)


def test_level_zero_is_no_stress(hand_made: Build) -> None:
    """The mean is over the other levels, and what has level 0 alone has no table."""
    made = scores(
        *(("map", 0, "fgsm", level, value) for level, value in ((0.0, 1.0), (0.1, 0.4), (0.3, 0.2)))
    )
    (table,) = stress_tables(analyse(of(hand_made, made))).values()
    assert table.rows[0].cells[0].mean == "0.300"
    assert "mean over ε (pixels in [0, 1]) 0.1, 0.3" in caption(table)
    assert (
        stress_tables(analyse(of(hand_made, scores(("map", 0, "fgsm", 0.0, 1.0)), folder="zero")))
        == {}
    )


def test_places_where_a_run_has_no_number_count_for_none(hand_made: Build) -> None:
    """Where one method makes no errors nobody's AUROC of errors counts, and the caption says how many are left."""
    values = {"map": (0.9, 0.7, 0.5), "mnf": ("", 0.8, 0.6)}
    rows = [
        (name, 0, "fgsm", level, value)
        for name, own in values.items()
        for level, value in zip((0.1, 0.2, 0.3), own, strict=True)
    ]
    (table,) = stress_tables(
        analyse(of(hand_made, scores(*rows, metric="auroc_errors_entropy")))
    ).values()
    assert [row.cells[0].mean for row in table.rows] == ["0.600", "0.700"]
    assert (
        "AUROC of errors: mean over 2 of 3 levels, those at which every run has a value."
        in caption(table)
    )


def test_no_place_with_numbers_is_a_column_of_dashes(hand_made: Build) -> None:
    """A score that is nowhere a number of all runs stays visible as missing."""
    rows = [("map", 0, "fgsm", 0.1, ""), ("mnf", 0, "fgsm", 0.1, 0.9)]
    (table,) = stress_tables(
        analyse(of(hand_made, scores(*rows, metric="auroc_errors_entropy")))
    ).values()
    assert [row.cells[0].mean for row in table.rows] == ["", ""]
    assert "over 0 of 1 levels" in caption(table)


def test_a_run_without_a_place_has_no_mean(hand_made: Build) -> None:
    """A level that one seed was never scored at leaves this seed out, and the cell says of how many it is."""
    rows = [
        ("map", seed, "fgsm", level, 0.5 + seed / 10) for seed in (0, 1) for level in (0.1, 0.3)
    ]
    (table,) = stress_tables(analyse(of(hand_made, scores(*rows[:-1])))).values()
    (cell,) = table.rows[0].cells
    assert (cell.mean, cell.values) == ("0.500", 1)


def test_best_and_tied_are_found_as_in_other_tables(hand_made: Build) -> None:
    """What is worse by far more than the seeds differ is not in bold, what is tied is."""
    means = {"map": 0.2, "dropout": 0.8, "mnf": 0.8001}
    noise = np.random.default_rng(0).normal(0, 0.01, (3, 6))
    rows = [
        (name, seed, "fgsm", level, mean + noise[place, seed] - level / 10)
        for place, (name, mean) in enumerate(means.items())
        for seed in range(6)
        for level in (0.1, 0.3)
    ]
    (table,) = stress_tables(analyse(of(hand_made, scores(*rows)))).values()
    assert {row.method: row.cells[0].best for row in table.rows} == {
        "map": False,
        "dropout": True,
        "mnf": True,
    }


def test_ece_stands_beside_that_of_a_calibrated_model(hand_made: Build) -> None:
    """No ECE is shown without its companion, even where that was not scored."""
    (table,) = stress_tables(
        analyse(of(hand_made, scores(("map", 0, "fgsm", 0.1, 0.2), metric="ece")))
    ).values()
    assert [column.metric for column in table.columns] == ["ece", "ece_if_calibrated"]


def test_examples_are_counted_where_all_places_have_as_many(hand_made: Build) -> None:
    """The caption tells of how many examples each mean is, unless places differ in it."""
    made = scores(("map", 0, "fgsm", 0.1, 0.2), ("map", 0, "fgsm", 0.3, 0.1))
    same = scores(("map", 0, "fgsm", 0.1, 1000), ("map", 0, "fgsm", 0.3, 1000), metric="examples")
    (table,) = stress_tables(analyse(of(hand_made, [*made, *same]))).values()
    assert "under fgsm (1,000 examples), mean over" in caption(table)
    same[0]["value"] = 500
    (table,) = stress_tables(analyse(of(hand_made, [*made, *same], folder="other"))).values()
    assert "examples" not in caption(table)


def test_columns_answer_what_the_uncertainty_is_worth(make_results: Build, tmp_path: Path) -> None:
    """Accuracy, what refusing wins, how errors and stress are told, and calibration, for each attack and shift."""
    results = read(make_results(tmp_path / "s", seeds=(0, 1), attacks=("fgsm", "rotate"))).on(
        "digits"
    )
    tables = stress_tables(analyse(results))
    assert list(tables) == ["fgsm", "rotate"]
    for table in tables.values():
        assert [column.metric for column in table.columns] == [
            *(
                "accuracy",
                "accuracy_kept_80",
                "auroc_errors_entropy",
                "auroc_entropy",
                "ece",
                "ece_if_calibrated",
            )
        ]
    assert "mean over angle (degrees) 30, 60, 90, 120, 150, 180" in caption(tables["rotate"])


def test_many_levels_are_told_by_their_ends(hand_made: Build) -> None:
    """A caption does not list them one by one."""
    made = scores(*(("map", 0, "rotate", 15.0 * step, 0.5) for step in range(13)))
    (table,) = stress_tables(analyse(of(hand_made, made))).values()
    assert "mean over angle (degrees) from 15 to 180 (12 levels)" in caption(table)
