"""The critical-difference diagram joins the methods that the datasets cannot tell apart, and no others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench_uq.report.figures._style import styled
from bench_uq.report.figures.ranks import draw
from bench_uq.report.looks import looks
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read, select
from bench_uq.score.statistics import cliques

DATASETS = tuple(f"data-{number}" for number in range(30))
METHODS = ("map", "dropout", "mnf", "sgld", "swag")


@pytest.fixture(scope="module")
def ranked(make_results: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Return results on so many datasets that some methods can be told apart."""
    folder = tmp_path_factory.mktemp("ranked") / "ranked"
    return read(make_results(folder, METHODS, datasets=DATASETS, unseen=(), attacks=()))


def drawn(results: Results) -> Figure:
    """Return the figure of some results."""
    with styled():
        (figure,) = draw(analyse(results), looks(results)).values()
        figure.draw_without_rendering()
    return figure


def texts(axes: Axes) -> list[str]:
    """Return what is written in a panel."""
    return [text.get_text() for text in axes.texts]


def places(axes: Axes, results: Results) -> dict[str, float]:
    """Return where the mark of each method stands on the axis."""
    found = {}
    for name, look in looks(results).items():
        for line in axes.lines:
            if (line.get_color(), line.get_marker()) == (look.color, look.marker):
                found[name] = float(np.asarray(line.get_xdata())[0])
    return found


def test_bars_join_exactly_what_is_not_distinguishable(ranked: Results) -> None:
    """Each bar covers the marks of one group of statistics.cliques, and every group has a bar."""
    figure = drawn(ranked)
    for axes, metric in zip(figure.axes, ("nll", "accuracy", "ece"), strict=True):
        ranks = analyse(ranked).rankings[metric].ranks
        assert ranks is not None
        x = places(axes, ranked)
        bars: list[Line2D] = [line for line in axes.lines if line.get_linewidth() > 2]
        covered = []
        for bar in bars:
            low, high = np.asarray(bar.get_xdata(), float)
            covered.append(
                tuple(
                    sorted((name for name in x if low <= x[name] <= high), key=lambda name: x[name])
                )
            )
        assert covered == [
            tuple(sorted(group, key=lambda name: x[name])) for group in cliques(ranks)
        ]
        assert len(bars) > 1


def test_marks_stand_at_the_mean_ranks(ranked: Results) -> None:
    """The axis is linear in the rank, and the bar above it as long as the critical difference."""
    axes = drawn(ranked).axes[0]
    ranks = analyse(ranked).rankings["nll"].ranks
    assert ranks is not None
    x = places(axes, ranked)
    ticks = {
        text.get_text(): text.get_position()[0] for text in axes.texts if text.get_text().isdigit()
    }
    for name, rank in ranks.mean.items():
        assert x[name] == pytest.approx(ticks["1"] + (rank - 1) * (ticks["2"] - ticks["1"]))
    ends = [
        np.asarray(line.get_xdata(), float)
        for line in axes.lines
        if len(np.asarray(line.get_xdata())) == 6
    ]
    assert (ends[0].max() - ends[0].min()) / (ticks["2"] - ticks["1"]) == pytest.approx(
        ranks.critical
    )
    assert f"CD = {ranks.critical:.2f}" in texts(axes)


def test_method_with_holes_is_named_beneath(ranked: Results) -> None:
    """Who lacks a value on some dataset has no rank; who lacks some runs says how many there are."""
    scores = ranked.scores
    missing = (scores["method"] == "sgld") & (scores["dataset"] != "data-3")
    runs = ranked.runs
    twice = runs[(runs["method"] == "map") & (runs["dataset"] == "data-0")].assign(
        seed=1, status="failed"
    )
    results = replace(ranked, scores=scores[~missing], runs=pd.concat([runs, twice]))
    found = texts(drawn(results).axes[0])
    assert "left out for missing values: method sgld" in found
    assert "sgld" not in found
    assert "map (30/31 runs)" in found


def test_title_says_where_no_ranks_could_differ(ranked: Results) -> None:
    """Two datasets tell nothing of five methods: no mean ranks are as far apart as they would have to be."""
    (axes,) = drawn(select(ranked, datasets=["data-0", "data-1"], metrics=["nll"])).axes
    assert axes.get_title() == "NLL ↓: inconclusive, 5 methods on 2 datasets"


def test_titles_fit_the_sheet(ranked: Results) -> None:
    """The longest one, of many datasets and a p-value, is not cut off."""
    figure = drawn(ranked)
    for axes in figure.axes:
        box = axes.title.get_window_extent()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1


def test_equal_ranks_stand_side_by_side(ranked: Results) -> None:
    """Methods of one mean rank have marks and lines of their own around it, and the legend tells it."""
    values = {
        ("map", "data-0"): 1,
        ("map", "data-1"): 2,
        ("mnf", "data-0"): 2,
        ("mnf", "data-1"): 1,
    }
    narrow = select(
        ranked, methods=["map", "mnf", "sgld"], datasets=["data-0", "data-1"], metrics=["nll"]
    )
    scores = narrow.scores
    placed = [
        float(values.get(key, 3)) for key in zip(scores["method"], scores["dataset"], strict=True)
    ]
    results = replace(narrow, scores=scores.assign(value=placed))
    figure = drawn(results)
    (axes,) = figure.axes
    x = places(axes, results)
    ticks = {
        text.get_text(): text.get_position()[0] for text in axes.texts if text.get_text().isdigit()
    }
    assert x["mnf"] - x["map"] == pytest.approx(0.06)
    assert (x["map"] + x["mnf"]) / 2 == pytest.approx((ticks["1"] + ticks["2"]) / 2)
    assert x["sgld"] == pytest.approx(ticks["3"])
    assert "side by side: equal ranks" in [
        text.get_text() for text in figure.legends[0].get_texts()
    ]


def test_one_dataset_or_method_has_no_diagram(ranked: Results) -> None:
    """There is nothing to rank."""
    for few in (select(ranked, datasets=["data-0"]), select(ranked, methods=["map"])):
        assert draw(analyse(few), looks(few)) == {}


def test_only_metrics_that_are_there(ranked: Results) -> None:
    """A report of one metric has one diagram."""
    (axes,) = drawn(select(ranked, metrics=["ece"])).axes
    assert axes.get_title().startswith("ECE ↓: mean ranks over 30 datasets")
