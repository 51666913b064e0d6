"""What stands in the cells, by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_uq.report.captions import caption, wrap
from bench_uq.report.frames import Results, read
from bench_uq.report.latex import table_float
from bench_uq.report.markdown import summary
from bench_uq.report.summaries import Summary
from bench_uq.report.tables import Cell, clean_table, decimals, fixed, level_tables


def scored(method: str, metric: str, values: list[object]) -> list[dict[str, object]]:
    return [{"method": method, "seed": seed, "metric": metric, "value": value} for seed, value in enumerate(values)]


def test_cells_are_mean_and_deviation(hand_made: Callable[..., Path]) -> None:
    """0.90, 0.92, 0.97 have mean 0.93 and sample deviation sqrt(0.0026 / 2) = 0.036, in table, LaTeX and Markdown."""
    results = read(hand_made(scored("map", "accuracy", [0.90, 0.92, 0.97])))
    table = clean_table(results)
    assert table.rows[0].cells == (Cell("0.93", "0.04"),)
    assert r"map & 3 & 0.93 & {\scriptsize\,$\pm$0.04} \\" in table_float(table, "x")
    assert "| map | 3 | 0.93 ± 0.04 |" in summary(results, [])
    assert "mean ± standard deviation over 3 seeds" in caption(table)


def test_one_seed_shows_no_spread(hand_made: Callable[..., Path]) -> None:
    """One seed gives a mean alone, and the caption says why."""
    table = clean_table(read(hand_made(scored("map", "nll", [0.5]))))
    assert table.rows[0].cells == (Cell("0.500"),)
    assert "one seed, hence no spread" in caption(table)
    assert r"$\pm$" not in table_float(table, "x")


def test_hole_among_finished_runs_is_shown(hand_made: Callable[..., Path]) -> None:
    """A mean over two of three finished seeds says so in its cell and in the caption."""
    results = read(hand_made(scored("map", "nll", [1.0, "", 2.0])))
    table = clean_table(results)
    assert table.rows[0].cells[0].values == 2
    assert "(n=2)" in table_float(table, "x")
    assert "(n=2)" in summary(results, [])
    assert "(n=k): k of the finished seeds have this value." in caption(table)


def test_missing_value_is_a_dash(hand_made: Callable[..., Path]) -> None:
    """What no seed has is shown as missing, not left out."""
    results = read(hand_made([*scored("map", "nll", [1.0]), *scored("mnf", "nll", [""])]))
    table = clean_table(results)
    assert [row.cells for row in table.rows] == [(Cell("1.000"),), (Cell(),)]
    assert r"mnf & 1 & \multicolumn{2}{c}{--} \\" in table_float(table, "x")
    assert "| mnf | 1 | – |" in summary(results, [])


def test_failed_method_keeps_its_row(told: Results) -> None:
    """A method without a finished run is a row of dashes with 0 of 3 seeds."""
    row = next(row for row in clean_table(told.on("digits")).rows if row.method == "sgld")
    assert str(row.seeds) == "0/3"
    assert set(row.cells) == {Cell()}


def test_all_runs_failed(hand_made: Callable[..., Path]) -> None:
    """With nothing but failed runs there still is a table."""
    runs = [{"method": "map", "seed": 0, "status": "oom", "reason": "no memory"}]
    results = read(hand_made(runs=runs))
    assert "no run finished" in caption(clean_table(results))
    assert "seed 0: oom – no memory" in summary(results, [])


def test_ece_stands_beside_that_of_a_calibrated_model(hand_made: Callable[..., Path]) -> None:
    """No ECE is shown without its companion, even where that was not scored."""
    table = clean_table(read(hand_made(scored("map", "ece", [0.1]))))
    assert [column.metric for column in table.columns] == ["ece", "ece_if_calibrated"]


def test_columns_of_the_story(told: Results) -> None:
    """Clean scores come first, then the AUROC of unseen data; regression has its own; strange ones are appended."""
    classes, values = (clean_table(told.on(name)).columns for name in ("digits", "boston"))
    clean = ["accuracy", "nll", "brier", "ece", "ece_if_calibrated", "adaptive_ece"]
    assert [column.metric for column in classes] == [*clean, "auroc_entropy"]
    assert classes[-1].condition == "letters"
    assert [column.metric for column in values] == ["rmse", "nll", "crps", "picp", "mpiw"]


def test_unknown_metric_is_appended(hand_made: Callable[..., Path]) -> None:
    """A score without a card comes last under its own id and claims no direction."""
    results = read(hand_made([*scored("map", "zeal", [1.0]), *scored("map", "nll", [1.0])]))
    assert [(column.title, column.direction) for column in clean_table(results).columns] == [
        ("NLL", "lower"),
        ("zeal", "none"),
    ]


def test_levels_are_columns(told: Results) -> None:
    """Each attack has a table of accuracy and one of entropy, its levels in order."""
    tables = level_tables(told.on("digits"))
    assert [table.columns[0].metric for table in tables] == ["accuracy", "entropy"] * 2
    assert [column.level for column in tables[0].columns] == [0.0, 0.05, 0.1, 0.2, 0.3, 0.5]
    assert level_tables(told.on("boston")) == []


def test_unconverged_runs_are_marked(told: Results) -> None:
    """The caption names the method whose run had not converged, and in how many seeds."""
    assert "† Not converged, so that no ordering is claimed: mean-field (1 of 3 seeds)." in caption(
        clean_table(told.on("digits"))
    )


@pytest.mark.parametrize(
    ("mean", "sd", "expected"),
    [
        (0.93, 0.036, 2),
        (0.93, 0.0036, 3),
        (0.93, 0.0025, 4),
        (0.93, 0.0012, 4),
        (0.93, 0.000012, 4),
        (0.93, math.nan, 3),
        (0.93, 0.0, 3),
        (31.4, 2.5, 1),
        (4532.1, 31.0, 0),
        (0.00012, 0.00001, 6),
        (math.inf, math.nan, 3),
        (0.0, 0.0, 3),
    ],
)
def test_decimals(mean: float, sd: float, expected: int) -> None:
    """A column has as many decimals as its spread deserves."""
    assert decimals([Summary(mean, sd, mean, mean, 3)]) == expected


def test_fixed() -> None:
    """Zero has no sign and infinity a symbol."""
    assert [fixed(-0.0001, 2), fixed(-0.12, 1), fixed(math.inf, 3)] == ["0.00", "-0.1", "∞"]


def test_wrap_keeps_every_letter() -> None:
    """A broken name is still the name, no line is too long, and breaks stand where a reader expects them."""
    name = "vogn[damping=0.001,momentum=0.9,samples=8]"
    assert wrap(name, 24) == ["vogn[damping=0.001,", "momentum=0.9,samples=8]"]
    assert "".join(wrap("x" * 70, 24)) == "x" * 70
    assert max(map(len, wrap("x" * 70, 24))) <= 24
