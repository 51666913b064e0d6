"""What stands in the cells, by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench_uq.report.latex import table_float
from bench_uq.report.markdown import summary
from bench_uq.report.tables.captions import caption, heading, wrap
from bench_uq.report.tables.ranks import rank_table
from bench_uq.report.tables.table import Cell, decimals, fixed
from bench_uq.report.tables.tables import (
    clean_table,
    cost_table,
    level_tables,
    ood_tables,
    overview,
)
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read, select
from bench_uq.score.summaries import Summary


def scored(method: str, metric: str, values: list[object]) -> list[dict[str, object]]:
    return [
        {"method": method, "seed": seed, "metric": metric, "value": value}
        for seed, value in enumerate(values)
    ]


def test_cells_are_mean_and_deviation(hand_made: Callable[..., Path]) -> None:
    """0.90, 0.92, 0.97 have mean 0.93 and sample deviation sqrt(0.0026 / 2) = 0.036, in table, LaTeX and Markdown."""
    results = read(hand_made(scored("map", "accuracy", [0.90, 0.92, 0.97])))
    table = clean_table(analyse(results))
    assert table.rows[0].cells == (Cell("0.93", "0.04"),)
    assert r"map & 3 & 0.93 & {\scriptsize\,$\pm$0.04} \\" in table_float(table, "x")
    assert "| map | 3 | 0.93 ± 0.04 |" in summary(analyse(results), [])
    assert "mean ± standard deviation over 3 seeds" in caption(table)


def test_one_seed_shows_no_spread(hand_made: Callable[..., Path]) -> None:
    """One seed gives a mean alone, and the caption says why."""
    table = clean_table(analyse(read(hand_made(scored("map", "nll", [0.5])))))
    assert table.rows[0].cells == (Cell("0.500"),)
    assert "one seed, hence no spread" in caption(table)
    assert r"$\pm$" not in table_float(table, "x")


def test_hole_among_finished_runs_is_shown(hand_made: Callable[..., Path]) -> None:
    """A mean over two of three finished seeds says so in its cell and in the caption."""
    results = read(hand_made(scored("map", "nll", [1.0, "", 2.0])))
    table = clean_table(analyse(results))
    assert table.rows[0].cells[0].values == 2
    assert "(n=2)" in table_float(table, "x")
    assert "(n=2)" in summary(analyse(results), [])
    assert "(n=k): k of the finished seeds have this value." in caption(table)


def test_missing_value_is_a_dash(hand_made: Callable[..., Path]) -> None:
    """What no seed has is shown as missing, not left out."""
    results = read(hand_made([*scored("map", "nll", [1.0]), *scored("mnf", "nll", [""])]))
    table = clean_table(analyse(results))
    assert [row.cells for row in table.rows] == [(Cell("1.000"),), (Cell(),)]
    assert r"mnf & 1 & \multicolumn{2}{c}{--} \\" in table_float(table, "x")
    assert "| mnf | 1 | – |" in summary(analyse(results), [])


def test_failed_method_keeps_its_row(told: Results) -> None:
    """A method without a finished run is a row of dashes with 0 of 3 seeds."""
    row = next(row for row in clean_table(analyse(told.on("digits"))).rows if row.method == "sgld")
    assert str(row.seeds) == "0/3"
    assert set(row.cells) == {Cell()}


def test_all_runs_failed(hand_made: Callable[..., Path]) -> None:
    """With nothing but failed runs there still is a table."""
    runs = [{"method": "map", "seed": 0, "status": "oom", "reason": "no memory"}]
    results = read(hand_made(runs=runs))
    assert "no run finished" in caption(clean_table(analyse(results)))
    assert "seed 0: oom – no memory" in summary(analyse(results), [])


def test_ece_stands_beside_that_of_a_calibrated_model(hand_made: Callable[..., Path]) -> None:
    """No ECE is shown without its companion, even where that was not scored."""
    table = clean_table(analyse(read(hand_made(scored("map", "ece", [0.1])))))
    assert [column.metric for column in table.columns] == ["ece", "ece_if_calibrated"]


def test_columns_of_the_story(told: Results) -> None:
    """Clean scores have a table; an overview adds the AUROC of unseen data; regression has its own."""
    classes, values = (clean_table(analyse(told.on(name))).columns for name in ("digits", "boston"))
    clean = ["accuracy", "nll", "brier", "ece", "ece_if_calibrated", "adaptive_ece"]
    assert [column.metric for column in classes] == clean
    wider = overview(analyse(told.on("digits"))).columns
    assert [column.metric for column in wider] == [*clean, "auroc_entropy"]
    assert heading(wider[-1]) == ["AUROC ↑", "letters"]
    assert [column.metric for column in values] == ["rmse", "nll", "crps", "picp", "mpiw"]


def test_unknown_metric_is_appended(hand_made: Callable[..., Path]) -> None:
    """A score without a card comes last under its own id and claims no direction."""
    results = read(hand_made([*scored("map", "zeal", [1.0]), *scored("map", "nll", [1.0])]))
    assert [
        (column.name, column.direction) for column in clean_table(analyse(results)).columns
    ] == [
        ("NLL", "lower"),
        ("zeal", "none"),
    ]


def test_levels_are_columns(told: Results) -> None:
    """Each attack has a table a score, the ECE with that of a calibrated model, its levels in order."""
    tables = level_tables(analyse(told.on("digits")))
    angles = [30.0 * step for step in range(7)]
    metrics = ["accuracy", "nll", "ece", "ece_if_calibrated", "entropy", "auroc_entropy"]
    assert [table.columns[0].metric for table in tables] == metrics * 3
    assert [column.level for column in tables[0].columns] == [0.0, 0.05, 0.1, 0.2, 0.3, 0.5]
    assert [column.level for column in tables[-1].columns] == angles
    assert level_tables(analyse(told.on("boston"))) == []
    assert caption(tables[0]).startswith("digits: accuracy ↑ under fgsm, by ε (pixels in [0, 1]); ")


def test_unseen_data_are_told_apart_by_three_scores(told: Results) -> None:
    """AUROC, AUPR and FPR95 by entropy, mutual information and confidence, the positive class named."""
    (table,) = ood_tables(analyse(told.on("digits")))
    assert [column.metric for column in table.columns] == [
        f"{kind}_{by}"
        for kind in ("auroc", "aupr", "fpr95")
        for by in ("entropy", "epistemic", "confidence")
    ]
    assert [heading(column) for column in table.columns[6:]] == [
        ["FPR95 ↓", "entropy"],
        ["FPR95 ↓", "MI"],
        ["FPR95 ↓", "1 – max p"],
    ]
    assert "Out-of-distribution (OOD) data are the positive class." in caption(table)
    assert ood_tables(analyse(told.on("boston"))) == []


def test_costs_by_hand(hand_made: Callable[..., Path]) -> None:
    """Seconds of 10, 12 and 17 have mean 13 and deviation 3.6; what is counted has none; memory is in MB."""
    runs = [
        {"method": "map", "seed": seed, "train_seconds": 10 + x} for seed, x in enumerate((0, 2, 7))
    ]
    table = cost_table(analyse(read(hand_made(runs=runs))))
    cells = dict(zip([column.metric for column in table.columns], table.rows[0].cells, strict=True))
    assert cells["train_seconds"] == Cell("13.0", "3.6")
    assert (cells["parameters"], cells["epochs"], cells["draws"]) == (
        Cell("61,706"),
        Cell("40"),
        Cell("50"),
    )
    assert cells["peak_memory"] == Cell("512.0", "0.0")
    assert "Network: lenet; epochs: 40; draws: at most 50." in caption(table)


def test_costs_that_nobody_knows_are_no_columns(hand_made: Callable[..., Path]) -> None:
    """What was trained elsewhere, or by a version that did not record it, has a dash."""
    unknown = {
        "parameters": "",
        "epochs": "",
        "draws": "",
        "seconds_per_1000": "",
        "peak_memory": "",
    }
    runs = [{"method": "theirs", "seed": 0, "train_seconds": "", **unknown}]
    assert cost_table(analyse(read(hand_made(runs=runs)))).rows[0].cells == (Cell(),)


def test_best_and_tied_are_marked(hand_made: Callable[..., Path]) -> None:
    """One loses on every seed by far more than its spread; two cannot be told apart, and neither can the caption."""
    good, close, bad = [0.90, 0.91, 0.92, 0.93], [0.91, 0.90, 0.92, 0.92], [0.50, 0.51, 0.53, 0.53]
    scores = [row for name, values in (("map", good), ("mnf", close), ("sgld", bad))
              for row in scored(name, "accuracy", values)]  # fmt: skip
    table = clean_table(analyse(read(hand_made(scores))))
    assert [row.cells[0].best for row in table.rows] == [True, True, False]
    assert (
        "Bold: best, or not significantly different from the best (paired by seed, Holm, 5 %)."
        in caption(table)
    )
    assert r"\textbf{0.915} &" in table_float(table, "x")
    assert "| map | 4 | **0.915 ± 0.013** |" in summary(
        analyse(read(hand_made(scores, folder="again"))), []
    )


def test_nothing_is_claimed_of_what_had_not_converged(hand_made: Callable[..., Path]) -> None:
    """The same numbers, but the best had not converged: it is in no comparison."""
    good, bad = [0.90, 0.91, 0.92, 0.93], [0.50, 0.51, 0.53, 0.53]
    scores = [*scored("map", "accuracy", good), *scored("sgld", "accuracy", bad)]
    runs = [{"method": "map", "seed": 3, "converged": False}]
    table = clean_table(analyse(read(hand_made(scores, runs=runs))))
    assert not any(row.cells[0].best for row in table.rows)
    assert "Bold" not in caption(table)


def test_ranks_across_datasets(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """Mean ranks are between 1 and the number of methods and average to the middle; one dataset has none."""
    methods = ("map", "ensemble", "mnf")
    folder = make_results(
        tmp_path / "s", methods, range(3), datasets=("a", "b", "c"), unseen=(), attacks=()
    )
    results = read(folder)
    table = rank_table(analyse(results))
    assert table is not None
    assert [column.metric for column in table.columns] == ["accuracy", "nll", "brier", "ece"]
    for place in range(4):
        means = [float(row.cells[place].mean) for row in table.rows]
        assert sum(means) == pytest.approx(6, abs=0.02)
        assert all(1 <= mean <= 3 for mean in means)
    assert caption(table).startswith(
        "Mean ranks across datasets on clean data, 1 for the best; ranked by means over "
    )
    assert "Accuracy: 3 datasets, critical difference 1.91" in caption(table)
    assert rank_table(analyse(results.on("a"))) is None


def test_mixed_settings_are_told(hand_made: Callable[..., Path]) -> None:
    """Seeds of one method that were run differently do not stand side by side without a word."""
    runs = [{"method": "map", "seed": 0}, {"method": "map", "seed": 1, "epochs": 10}]
    said = caption(
        clean_table(analyse(read(hand_made(scored("map", "nll", [1.0, 1.1]), runs=runs))))
    )
    assert "epochs: 10–40" in said
    assert "Mixed settings: the seeds of map differ in epochs." in said


def test_unconverged_runs_are_marked(told: Results) -> None:
    """The caption names the method whose run had not converged, and in how many seeds."""
    assert "† Not converged: no ordering is claimed (mean-field: 1 of 3 seeds)." in caption(
        clean_table(analyse(told.on("digits")))
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


def test_metrics_that_are_asked_for_are_shown(told: Results) -> None:
    """Also those that no table shows else, on clean data and by level; where a dataset lacks one it says so."""
    chosen = select(told, metrics=["epistemic", "aleatoric"])
    digits, boston = (clean_table(analyse(chosen.on(name))) for name in ("digits", "boston"))
    assert [column.metric for column in digits.columns] == ["aleatoric", "epistemic"]
    assert [column.metric for column in boston.columns] == ["epistemic", "aleatoric"]
    assert {cell for row in boston.rows for cell in row.cells} == {Cell()}
    assert [table.columns[0].metric for table in level_tables(analyse(chosen.on("digits")))] == [
        "epistemic",
        "aleatoric",
    ] * 3


def test_ranks_of_unconverged_methods_are_never_bold(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    """They are ranked, since ranks of the others depend on them, but no order is claimed."""
    loose = {("mnf", 1): {"converged": False}}
    folder = make_results(tmp_path / "s", ("map", "mnf"), range(3), datasets=("a", "b"), runs=loose)
    table = rank_table(analyse(read(folder)))
    assert table is not None
    assert {row.method for row in table.rows} == {"map", "mnf"}
    assert not any(cell.best for row in table.rows for cell in row.cells)
    assert "Bold" not in caption(table)


def test_ranks_tell_holes(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """A mean rank over fewer runs than finished says how many there are."""
    folder = make_results(
        tmp_path / "s", ("map", "mnf"), range(3), datasets=("a", "b"), unseen=(), attacks=()
    )
    results = read(folder)
    gone = (
        (results.scores["metric"] == "nll")
        & (results.scores["method"] == "map")
        & (results.scores["seed"] == 1)
    )
    table = rank_table(analyse(replace(results, scores=results.scores[~gone])))
    assert table is not None
    cells = {
        column.metric: cell for column, cell in zip(table.columns, table.rows[0].cells, strict=True)
    }
    assert (cells["nll"].values, cells["accuracy"].values) == (4, None)
    assert "(n=k): k of the finished seeds have this value." in caption(table)


def test_methods_trained_elsewhere_are_in_no_table_of_what_they_were_not_shown(
    hand_made: Callable[..., Path],
) -> None:
    """One that was never attacked has no row of dashes there; one of ours that failed has."""
    attacked = [
        {**row, "condition": "fgsm", "level": 0.1} for row in scored("map", "accuracy", [0.5])
    ]
    clean = [row for name in ("map", "theirs") for row in scored(name, "accuracy", [0.9])]
    runs = [
        {"method": "theirs", "seed": 0, "converged": ""},
        {"method": "mnf", "seed": 0, "status": "oom", "converged": ""},
    ]
    (table,) = level_tables(analyse(read(hand_made([*clean, *attacked], runs=runs))))
    assert [row.method for row in table.rows] == ["map", "mnf"]


def test_examples_are_counted_in_captions(hand_made: Callable[..., Path]) -> None:
    """Attacks may be limited to the first images: both tables say of how many their scores are."""
    clean = [*scored("map", "accuracy", [0.9]), *scored("map", "examples", [10000])]
    attacked = [
        {**row, "condition": "fgsm", "level": 0.0}
        for row in (*scored("map", "accuracy", [0.8]), *scored("map", "examples", [1000]))
    ]
    results = read(hand_made([*clean, *attacked]))
    assert caption(clean_table(analyse(results))).startswith(
        "digits: clean data (10,000 examples); "
    )
    assert caption(level_tables(analyse(results))[0]).startswith(
        "digits: accuracy ↑ under fgsm (1,000 examples), by ε "
    )


def test_a_method_without_draws_has_no_mutual_information(
    hand_made: Callable[..., Path], tmp_path: Path
) -> None:
    """Nothing is detected by a score that is 0 everywhere: a dash, not a bad score, and no comparison."""
    scores = []
    for method, mutual in (("map", 0.0), ("mnf", 0.2), ("sgld", 0.3)):
        scores += scored(method, "epistemic", [mutual] * 3)
        scores += [
            {**row, "condition": "letters"}
            for by in ("entropy", "epistemic")
            for row in scored(method, f"auroc_{by}", [0.5 + mutual, 0.51 + mutual, 0.52 + mutual])
        ]
    (table,) = ood_tables(analyse(read(hand_made(scores))))
    cells = {row.method: row.cells for row in table.rows}
    assert cells["map"][1] == Cell()
    assert cells["map"][0].mean == "0.510"
    assert cells["mnf"][1].mean == "0.710"
    assert "no value if draws do not differ" in caption(table)
    (narrowed,) = ood_tables(analyse(select(read(tmp_path / "hand"), metrics=["auroc_epistemic"])))
    assert {row.method: row.cells for row in narrowed.rows}["map"] == (Cell(),)


def test_a_bold_mean_behind_another_is_explained(hand_made: Callable[..., Path]) -> None:
    """One that varies too much to be told from the best stands in bold behind one that does not."""
    steady = {"map": [0.90, 0.901, 0.902, 0.903], "mnf": [0.88, 0.8812, 0.8818, 0.8831]}
    wild = [0.60, 0.95, 0.93, 0.92]
    scores = [
        row
        for name, own in {**steady, "sgld": wild}.items()
        for row in scored(name, "accuracy", own)
    ]
    table = clean_table(analyse(read(hand_made(scores))))
    assert [row.cells[0].best for row in table.rows] == [True, False, True]
    assert "A mean in bold may be worse than one that is not" in caption(table)
    assert "may be worse" not in caption(
        clean_table(analyse(read(hand_made(scores[:8], folder="steady"))))
    )


def test_epochs_of_each_method_are_told(hand_made: Callable[..., Path]) -> None:
    """Where methods trained for different epochs the caption says which for how many."""
    runs = [
        {"method": name, "seed": 0, "epochs": 60 if name == "map" else 40}
        for name in ("map", "mnf", "sgld")
    ]
    assert "epochs: 60 (map), 40 (others);" in caption(
        clean_table(analyse(read(hand_made(runs=runs))))
    )


def test_too_few_datasets_claim_nothing(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """Two datasets cannot tell five methods apart: no mean rank is bold, and the caption says why."""
    methods = ("map", "dropout", "ensemble", "mean-field", "mnf")
    table = rank_table(
        analyse(
            read(
                make_results(
                    tmp_path / "s", methods, (0, 1), datasets=("a", "b"), unseen=(), attacks=()
                )
            )
        )
    )
    assert table is not None
    assert not any(cell.best for row in table.rows for cell in row.cells)
    assert "inconclusive: too few datasets" in caption(table)
    assert "Bold" not in caption(table)
