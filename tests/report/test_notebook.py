"""One frame for notebooks says what the tables say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import bench_uq
from bench_uq.errors import UsageError
from bench_uq.report.frames import read
from bench_uq.report.tables import clean_table, fixed


def test_frame_holds_the_numbers_of_the_tables(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """Every cell of a table is its row rounded, bold where the verdict is best or tied."""
    folder = make_results(tmp_path / "s", ("map", "ensemble", "mnf"), range(5), datasets=("a", "b"))
    frame = bench_uq.summarise(folder).set_index(["dataset", "method", "condition", "metric"])
    for dataset in ("a", "b"):
        table = clean_table(read(folder).on(dataset))
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                one = frame.loc[dataset, row.method, "clean", column.metric]
                digits = len(cell.mean.partition(".")[2])
                assert (cell.mean, cell.spread) == (fixed(one["mean"], digits), fixed(one["sd"], digits))
                assert cell.best == (one["verdict"] in ("best", "tied"))
                assert one["ci_low"] < one["mean"] < one["ci_high"] or one["sd"] == 0


def test_scores_alone_are_enough(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """What read_scores returns gives the same frame, where every run had converged."""
    folder = make_results(tmp_path / "s", ("map", "mnf"), range(3), regression=("boston",))
    of_scores = bench_uq.summarise(bench_uq.read_scores(folder))
    pd.testing.assert_frame_equal(of_scores, bench_uq.summarise(folder), check_dtype=False)


def test_foreign_frame(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """A frame without seeds is told of by the column that it lacks."""
    scores = bench_uq.read_scores(make_results(tmp_path / "s", ("map",)))
    with pytest.raises(UsageError, match="lack the column 'seed'"):
        bench_uq.summarise(scores.drop(columns="seed"))
