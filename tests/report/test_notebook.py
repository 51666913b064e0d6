"""One frame for notebooks says what the tables say."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

import bench_uq
from bench_uq.api.errors import UsageError
from bench_uq.report.tables.tables import clean_table
from bench_uq.score.analysis import analyse
from bench_uq.score.results import read
from bench_uq.score.rounding import fixed


def test_frame_holds_the_numbers_of_the_tables(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    """Every cell of a table is its row rounded, bold where the verdict is best or tied."""
    methods, datasets = ("map", "ensemble", "mnf"), ("a", "b")
    folder = make_results(tmp_path / "s", methods, range(5), datasets=datasets)
    frame = bench_uq.summarise(folder).set_index(["dataset", "method", "condition", "metric"])

    for dataset in datasets:
        table = clean_table(analyse(read(folder).on(dataset)))
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                one = frame.loc[dataset, row.method, "clean", column.metric]
                digits = len(cell.mean.partition(".")[2])
                shown = fixed(one["mean"], digits), fixed(one["sd"], digits)
                assert (cell.mean, cell.spread) == shown
                assert cell.best == (one["verdict"] in ("best", "tied"))
                assert one["ci_low"] < one["mean"] < one["ci_high"] or one["sd"] == 0


def test_scores_alone_are_enough(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """What read_scores returns gives the same frame, filtered or of nullable columns too."""
    unlike = {("sgld", seed): {"precision": "bfloat16"} for seed in range(3)}
    for method, seed in product(("map", "mnf"), range(3)):
        unlike[method, seed] = {"precision": "float32"}
    shown = {"regression": ("boston",), "runs": unlike}
    folder = make_results(tmp_path / "s", ("map", "mnf", "sgld"), range(3), **shown)

    scores = bench_uq.read_scores(folder)
    clean = scores[(scores.condition == "clean") & (scores.metric == "nll")]
    verdicts = bench_uq.summarise(clean).set_index("method")["verdict"]
    assert set(verdicts["sgld"]) == {""}
    assert "" not in set(verdicts["map"])

    for frame in (scores, scores.convert_dtypes()):
        found = bench_uq.summarise(frame)
        pd.testing.assert_frame_equal(found, bench_uq.summarise(folder), check_dtype=False)


def test_foreign_and_repeated_rows_are_refused(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    """A lacking column is named; scores that were read twice are not twice as many seeds."""
    scores = bench_uq.read_scores(make_results(tmp_path / "s", ("map",)))
    with pytest.raises(UsageError, match="lack the column 'seed'"):
        bench_uq.summarise(scores.drop(columns="seed"))
    twice = "scores hold twice: digits, map, 0, clean, nan, accuracy;"
    with pytest.raises(UsageError, match=twice):
        bench_uq.summarise(pd.concat([scores, scores]))


def test_verdicts_have_their_p_values() -> None:
    """Only what is worse has one, by hand: Student's t of one pair needs no correction."""
    values = {"map": [0.9, 0.91, 0.92], "mnf": [0.7, 0.72, 0.71]}
    rows = []
    for name, own in values.items():
        for seed, value in enumerate(own):
            rows.append(("d", name, seed, "clean", None, "accuracy", value))
    columns = ["dataset", "method", "seed", "condition", "level", "metric", "value"]
    frame = bench_uq.summarise(pd.DataFrame(rows, columns=columns)).set_index("method")
    assert frame["verdict"].to_dict() == {"map": "best", "mnf": "worse"}
    assert frame["p"]["mnf"] == pytest.approx(stats.ttest_rel(values["map"], values["mnf"]).pvalue)
    assert math.isnan(frame["p"]["map"])
    assert frame["behind"]["mnf"] == pytest.approx(0.2)


def test_a_computed_level_is_the_written_one(tmp_path: Path) -> None:
    """Scores at 0.1 + 0.05 and at 0.15, or at 8/255 and at its six digits, share a row."""
    header = "dataset,method,seed,condition,level,metric,value,run\n"
    levels = {"map": (0.1 + 0.05, 8 / 255), "mnf": (0.15, 0.0313725)}
    lines = []
    for method, (one, other) in levels.items():
        for seed in range(3):
            names = f"digits,{method},{seed},pgd"
            lines += [f"{names},{one},nll,{seed},r", f"{names},{other},nll,{seed},r"]
    (tmp_path / "scores.csv").write_text(header + "\n".join(lines) + "\n")

    frame = bench_uq.summarise(bench_uq.read_scores(tmp_path / "scores.csv"))
    assert sorted(frame["level"].unique()) == [0.0313725, 0.15]
    assert set(frame["verdict"]) == {"best", "tied"}
