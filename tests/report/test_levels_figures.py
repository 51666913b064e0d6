"""The figures of levels show each score that was measured, with its range over the seeds and its holes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from bench_uq.report.figures._style import styled
from bench_uq.report.figures.levels import draw
from bench_uq.report.looks import looks
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read, select

TITLES = [
    *(
        "accuracy",
        "NLL (nats)",
        "ECE",
        "mean entropy (nats)",
        "mutual information (nats)",
        "AUROC against clean",
    ),
    *("accuracy (80 % kept)", "AUROC of errors", "mean entropy of errors (nats)"),
]


def drawn(results: Results) -> dict[str, Figure]:
    """Return the figures of some results."""
    with styled():
        figures = draw(analyse(results), looks(results))
        for figure in figures.values():
            figure.draw_without_rendering()
    return figures


def scores(*rows: tuple[str, int, float, str, float | str]) -> list[dict[str, Any]]:
    """Return scores of an attack by method, seed, level, metric and value."""
    keys = ("method", "seed", "level", "metric", "value")
    return [{**dict(zip(keys, row, strict=True)), "condition": "fgsm"} for row in rows]


def band(axes: Axes) -> list[np.ndarray]:
    """Return the corners of every band in a panel."""
    return [
        np.asarray(one.get_paths()[0].vertices)
        for one in axes.collections
        if isinstance(one, PolyCollection)
    ]


def test_a_figure_a_condition_and_a_panel_a_score(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    """Each attack has its own figure of all nine scores."""
    figures = drawn(read(make_results(tmp_path / "s", attacks=("fgsm", "pgd"))).on("digits"))
    assert list(figures) == ["fgsm", "pgd"]
    assert [axes.get_ylabel() for axes in figures["pgd"].axes] == TITLES
    assert [axes.get_xlabel() for axes in figures["pgd"].axes] == [*[""] * 6, *["ε of pgd"] * 3]


def test_scores_left_out_have_no_panel(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """A report of some metrics shows these; one without any of them has no figure of levels."""
    results = read(make_results(tmp_path / "s"))
    (figure,) = drawn(select(results, metrics=["ece", "accuracy"]).on("digits")).values()
    assert [axes.get_ylabel() for axes in figure.axes] == ["accuracy", "ECE"]
    assert drawn(select(results, metrics=["brier"]).on("digits")) == {}


def test_mean_and_range_over_seeds(hand_made: Callable[..., Path]) -> None:
    """The line goes through the means of the seeds, the band from the lowest to the highest."""
    rows = [
        ("map", seed, level, "entropy", level + seed) for seed in (0, 2) for level in (0.0, 0.5)
    ]
    (figure,) = drawn(read(hand_made(scores=scores(*rows))).on("digits")).values()
    (axes,) = figure.axes
    assert np.asarray(axes.lines[0].get_ydata()).tolist() == [1.0, 1.5]
    (corners,) = band(axes)
    assert {(x, y) for x, y in corners.tolist()} == {(0.0, 0.0), (0.0, 2.0), (0.5, 0.5), (0.5, 2.5)}


@pytest.mark.parametrize(("levels", "kind"), [((0.0, 0.5), "band"), ((0.5,), "whiskers")])
def test_legend_says_what_the_spread_is(
    hand_made: Callable[..., Path], levels: tuple[float, ...], kind: str
) -> None:
    """Bands, or whiskers at a single level, are named where there are several seeds, and not where there is one."""
    for seeds, expected in (((0, 1), ["map", f"{kind}: range over seeds"]), ((0,), ["map"])):
        rows = [("map", seed, level, "entropy", level + seed) for seed in seeds for level in levels]
        results = read(hand_made(scores=scores(*rows), folder=f"{len(seeds)}")).on("digits")
        (figure,) = drawn(results).values()
        assert [text.get_text() for text in figure.legends[0].get_texts()] == expected


def test_a_missing_level_is_a_gap(hand_made: Callable[..., Path]) -> None:
    """Where a method has no value its line is broken, and the legend counts the seeds of the weakest point."""
    rows = [("map", seed, level, "entropy", 1.0) for seed in (0, 1) for level in (0.0, 0.2, 0.5)]
    rows = [row for row in rows if row[:3] != ("map", 1, 0.5)]
    holes = [("mnf", 0, level, "entropy", "" if level == 0.2 else 2.0) for level in (0.0, 0.2, 0.5)]
    (figure,) = drawn(read(hand_made(scores=scores(*rows, *holes))).on("digits")).values()
    np.testing.assert_array_equal(figure.axes[0].lines[1].get_ydata(), [2, np.nan, 2])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "map (1/2 seeds)",
        "mnf",
        "band: range over seeds",
    ]


def test_ece_of_calibrated_models_is_hinted(hand_made: Callable[..., Path]) -> None:
    """A broken line is what the worst method would show if calibrated."""
    rows = [("map", 0, level, "ece", 0.3) for level in (0.0, 0.5)]
    rows += [
        (method, 0, level, "ece_if_calibrated", at)
        for method, at in (("map", 0.01), ("mnf", 0.02))
        for level in (0.0, 0.5)
    ]
    (figure,) = drawn(read(hand_made(scores=scores(*rows))).on("digits")).values()
    *_, line = figure.axes[0].lines
    assert np.asarray(line.get_ydata()).tolist() == [0.02, 0.02]
    assert figure.legends[0].get_texts()[-1].get_text() == "ECE floor (highest)"


def test_one_level_shows_methods_side_by_side(hand_made: Callable[..., Path]) -> None:
    """Without a line to follow marks would hide each other; whiskers are the range."""
    rows = [
        (method, seed, 0.3, "entropy", 1.0 + seed) for method in ("map", "mnf") for seed in (0, 1)
    ]
    (figure,) = drawn(read(hand_made(scores=scores(*rows))).on("digits")).values()
    (axes,) = figure.axes
    first, second = (float(np.asarray(line.get_xdata())[0]) for line in axes.lines)
    assert first < 0.3 < second
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0.3"]
    whiskers: Any = axes.collections[0]
    assert whiskers.get_segments()[0].tolist() == [
        [pytest.approx(first), 1.0],
        [pytest.approx(first), 2.0],
    ]


def test_infinite_scores_are_gaps(hand_made: Callable[..., Path]) -> None:
    """A likelihood of zero has no place on the axis; where there is no other value the panel says so."""
    made = scores(("map", 0, 0.0, "nll", 0.5), ("map", 0, 0.5, "nll", "inf"))
    (figure,) = drawn(read(hand_made(scores=made)).on("digits")).values()
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), [0.5, np.nan])
    (figure,) = drawn(read(hand_made(scores=made[1:], folder="infinite")).on("digits")).values()
    assert [text.get_text() for text in figure.axes[0].texts] == ["no finite value"]


@pytest.mark.parametrize("lowest", [0.7, 0.3])
def test_chance_lies_in_the_panel(hand_made: Callable[..., Path], lowest: float) -> None:
    """Its line is seen beside any AUROC, and so are the marks of those below it."""
    rows = [
        ("map", 0, level, "auroc_entropy", value) for level, value in ((0.1, lowest), (0.3, 0.9))
    ]
    (figure,) = drawn(read(hand_made(scores=scores(*rows))).on("digits")).values()
    low, high = figure.axes[0].get_ylim()
    assert low < min(0.5, lowest)
    assert high > 0.9


def test_kinds_of_one_thing_have_a_figure_of_their_mean(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    """Beside that of each kind; its lines are means over the kinds."""
    kinds = ("corruption", "corruption[kind=snow]")
    results = read(make_results(tmp_path / "s", attacks=(*kinds, "fgsm"))).on("digits")
    figures = drawn(results)
    assert sorted(figures) == ["corruption", "corruption-mean", "corruption[kind=snow]", "fgsm"]
    mean, *own = (
        np.asarray(figures[name].axes[0].lines[0].get_ydata())
        for name in ("corruption-mean", *kinds)
    )
    np.testing.assert_allclose(mean, np.mean(own, axis=0))
    label = figures["corruption-mean"].axes[-1].get_xlabel()
    assert label.replace("\n", "") == "severity of corruption (mean of 2 kinds)"


def test_panels_share_the_axis_of_levels(hand_made: Callable[..., Path]) -> None:
    """A score without a value at high levels has the axis of all levels: the panels above have no numbers."""
    rows = [("map", 0, level, "accuracy", 1 - level) for level in (0.0, 0.2, 0.5)]
    rows += [("map", 0, level, "auroc_errors_entropy", 0.7) for level in (0.0, 0.2)]
    (figure,) = drawn(read(hand_made(scores=scores(*rows))).on("digits")).values()
    first, second = (axes.get_xlim() for axes in figure.axes)
    assert first == second
    assert first[0] <= 0 < 0.5 <= first[1]
