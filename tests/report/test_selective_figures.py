"""Risk-coverage and accuracy by confidence show the mean of the stored curves, and gaps where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench_uq.report.figures import accuracy_confidence, risk_coverage
from bench_uq.report.figures._style import styled
from bench_uq.report.looks import looks
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read


def drawn(results: Results) -> Figure:
    """Return the figure of accuracy by confidence."""
    with styled():
        (figure,) = accuracy_confidence.draw(analyse(results), looks(results)).values()
        figure.draw_without_rendering()
    return figure


def test_mean_over_seeds_with_gaps(hand_made: Callable[..., Path]) -> None:
    """Where one seed is never so sure there is no mean: not that of the others, and no bridge across."""
    values = {0: (0.5, 0.6, "", 0.8), 1: (0.7, 0.8, 0.8, 0.9)}
    curves = [
        {"method": "map", "seed": seed, "curve": "accuracy_confidence", "x": place / 4, "y": y}
        for seed, own in values.items()
        for place, y in enumerate(own)
    ]
    (line,) = drawn(read(hand_made(curves=curves)).on("digits")).axes[0].lines
    np.testing.assert_allclose(np.asarray(line.get_xdata(), float), [0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), [0.6, 0.7, np.nan, 0.85])


def risks(hand_made: Callable[..., Path], **values: list[float]) -> Axes:
    """Return the panel of risks by method, at equal steps of coverage up to all of it."""
    curves = [
        {"method": method, "seed": 0, "curve": "risk_coverage", "x": (place + 1) / len(own), "y": y}
        for method, own in values.items()
        for place, y in enumerate(own)
    ]
    results = read(hand_made(curves=curves)).on("digits")
    with styled():
        (figure,) = risk_coverage.draw(analyse(results), looks(results)).values()
        figure.draw_without_rendering()
    return figure.axes[0]


@pytest.mark.parametrize(
    ("first", "second", "start"),
    [
        (85, 95, 0.8),  # no method errs before 0.85
        (85, 5, 0.0),  # one does
        (30, 30, 0.0),  # little would be won
        (99, 99, 0.9),  # never less than the last tenth
        (100, 100, 0.0),  # no errors at all
    ],
)
def test_coverage_begins_where_errors_do(
    hand_made: Callable[..., Path], first: int, second: int, start: float
) -> None:
    """Where all methods are right on most examples only the others are shown, and the ticks tell it."""
    axes = risks(
        hand_made,
        **{
            name: [0.0] * none + [0.1] * (100 - none)
            for name, none in (("map", first), ("mnf", second))
        },
    )
    low, high = axes.get_xlim()
    assert low < start <= min(tick for tick in axes.get_xticks() if tick >= low) < low + 0.1
    assert low > start - 0.03
    assert 1 < high < 1.03
    assert sum(low <= tick <= high for tick in axes.get_xticks()) >= 3
    labels = [label.get_text() for label in axes.get_xticklabels() if label.get_visible()]
    assert start in [float(text.replace("−", "-")) for text in labels]
    assert [len(np.asarray(line.get_xdata())) for line in axes.lines] == [100, 100]


@pytest.mark.parametrize("module", [risk_coverage, accuracy_confidence])
def test_clean_and_strongest_levels(
    module: ModuleType, make_results: Callable[..., Path], tmp_path: Path
) -> None:
    """Unseen data have no right answers: clean data and each attack at its strongest have a panel."""
    results = read(make_results(tmp_path / "s", attacks=("fgsm", "pgd"))).on("digits")
    with styled():
        (figure,) = module.draw(analyse(results), looks(results)).values()
    assert [axes.get_title() for axes in figure.axes] == ["clean", "fgsm\nε = 0.5", "pgd\nε = 0.5"]


@pytest.mark.parametrize("module", [risk_coverage, accuracy_confidence])
def test_older_results_lack_the_curve(module: ModuleType, hand_made: Callable[..., Path]) -> None:
    """Without its curve a figure is not made."""
    curves = [{"method": "map", "seed": 0, "curve": "entropy_ecdf", "x": 1.0, "y": 0.5}]
    results = read(hand_made(curves=curves)).on("digits")
    assert module.draw(analyse(results), looks(results)) == {}


def test_more_conditions_than_a_page_holds(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    """Twelve have a panel, and the legend tells how many have not."""
    results = read(
        make_results(tmp_path / "s", attacks=[f"shift{number}" for number in range(14)])
    ).on("digits")
    figure = drawn(results)
    assert len(figure.axes) == 12
    assert figure.legends[0].get_texts()[-1].get_text() == "(3 more not shown)"
    assert figure.get_figheight() < 9.5
