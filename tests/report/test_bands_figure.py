"""The figure of predictive bands shows what curves.csv.gz holds of one seed, and says where it holds nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from bench_uq.report import write
from bench_uq.report.figures._style import styled
from bench_uq.report.figures.bands import draw
from bench_uq.report.looks import looks
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read

FAILED = {"status": "failed", "converged": ""}


@pytest.fixture
def drawn(make_results: Callable[..., Path], tmp_path: Path) -> Iterator[Callable[..., Figure]]:
    """Return a function that draws synthetic results of two methods over three seeds, some of which failed."""

    def figure_of(*failed: tuple[str, int]) -> Figure:
        runs = dict.fromkeys(failed, FAILED)
        made = make_results(
            tmp_path / "s", ("map", "mnf"), range(3), datasets=(), one_feature=("cubic",), runs=runs
        )
        results = read(made).on("cubic")
        (figure,) = draw(analyse(results), looks(results)).values()
        return figure

    with styled():
        yield figure_of


def curve(
    tmp_path: Path, method: str, seed: int, name: str, condition: str = "clean"
) -> tuple[Any, Any]:
    """Return a curve as it stands in curves.csv.gz."""
    curves = read(tmp_path / "s").curves
    rows = curves[
        (curves["method"] == method) & (curves["seed"] == seed) & (curves["condition"] == condition)
    ]
    rows = rows[rows["curve"] == name].sort_values("x")
    return rows["x"].to_numpy(), rows["y"].to_numpy()


def lines(axes: Axes) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the points of every line in a panel."""
    return [
        (np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float))
        for line in axes.lines
    ]


def test_panels_show_the_curves(drawn: Callable[..., Figure], tmp_path: Path) -> None:
    """Each panel holds mean, test targets and training examples of seed 0, and bands of one and two deviations."""
    for axes, method in zip(drawn().axes, ("map", "mnf"), strict=True):
        names = [
            ("regression_mean", "clean"),
            ("regression_target", "clean"),
            ("regression_target", "train"),
        ]
        for (name, condition), found in zip(names, lines(axes), strict=True):
            np.testing.assert_array_equal(found, curve(tmp_path, method, 0, name, condition))
        x, mean = curve(tmp_path, method, 0, "regression_mean")
        _, std = curve(tmp_path, method, 0, "regression_std")
        bands = [band for band in axes.collections if isinstance(band, PolyCollection)]
        for times, band in zip((2, 1), bands, strict=True):
            vertices = band.get_paths()[0].vertices
            for at, middle, deviation in zip(x, mean, std, strict=True):
                ys = vertices[vertices[:, 0] == at, 1]
                assert ys.min() == pytest.approx(middle - times * deviation)
                assert ys.max() == pytest.approx(middle + times * deviation)


def test_what_lies_beyond_the_training_inputs_is_shaded(
    drawn: Callable[..., Figure], tmp_path: Path
) -> None:
    """Both sides are shaded, from the end of the axis to the first and last example that was trained on."""
    axes = drawn().axes[0]
    x, _ = curve(tmp_path, "map", 0, "regression_target", "train")
    boxes = [
        patch.get_patch_transform().transform_path(patch.get_path()).get_extents()
        for patch in axes.patches
    ]
    spans = sorted((box.x0, box.x1) for box in boxes)
    np.testing.assert_allclose(spans, [(-6, x.min()), (x.max(), 6)])


def test_one_seed_for_all_methods(drawn: Callable[..., Figure], tmp_path: Path) -> None:
    """The first seed that most methods finished is drawn and named; a method without it says so."""
    figure = drawn(("map", 0))
    assert "training targets (seed 1)" in [
        text.get_text() for text in figure.legends[0].get_texts()
    ]
    for axes, method in zip(figure.axes, ("map", "mnf"), strict=True):
        np.testing.assert_array_equal(
            lines(axes)[2], curve(tmp_path, method, 1, "regression_target", "train")
        )

    figure = drawn(("map", 0), ("map", 1), ("map", 2))
    assert [text.get_text() for text in figure.axes[0].texts] == ["seed 0 did not finish"]
    assert len(figure.axes[0].lines) == 0
    assert len(figure.axes[1].lines) == 3


def test_all_targets_are_in_sight(drawn: Callable[..., Figure], tmp_path: Path) -> None:
    """The axes hold every target and input, and do not widen with the bands."""
    axes = drawn().axes[1]
    x, target = curve(tmp_path, "mnf", 0, "regression_target")
    low, high = axes.get_ylim()
    assert low < target.min() < target.max() < high
    assert high - low < 1.5 * (target.max() - target.min())
    assert axes.get_xlim() == (x.min(), x.max())


def test_without_points_and_targets(hand_made: Callable[..., Path]) -> None:
    """Predictions made elsewhere have no training examples, unseen inputs no targets: bands alone are drawn."""
    curves = [
        {"method": "map", "seed": 0, "curve": f"regression_{name}", "x": x, "y": 1.0}
        for name in ("mean", "std")
        for x in (0.0, 1.0)
    ]
    results: Results = read(hand_made(curves=curves)).on("digits")
    with styled():
        (figure,) = draw(analyse(results), looks(results)).values()
        figure.draw_without_rendering()
    assert [len(line.get_xdata()) for line in figure.axes[0].lines] == [2, 0]
    assert not figure.axes[0].patches


def test_only_what_has_bands(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """The report of a dataset of one feature has the figure and links it; one of several features has none."""
    made = make_results(tmp_path / "s", datasets=(), regression=("boston",), one_feature=("cubic",))
    names = {path.name for path in write(made, tmp_path / "report")}
    assert {name for name in names if "bands" in name} == {
        f"cubic-bands.{suffix}" for suffix in ("pdf", "png", "svg")
    }
    assert "(figures/cubic-bands.pdf)" in (tmp_path / "report" / "summary.md").read_text()
