"""The figure of refusal shows what is kept at levels spread over all, beside what is not stressed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from bench_uq.report.figures._style import styled
from bench_uq.report.figures.rejection import draw
from bench_uq.report.looks import looks
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read
from bench_uq.score.stress import kept_accuracy

KINDS = ("corruption", "corruption[kind=snow]")


def drawn(results: Results) -> dict[str, Figure]:
    """Return the figures of some results."""
    with styled():
        figures = draw(analyse(results), looks(results))
        for figure in figures.values():
            figure.draw_without_rendering()
    return figures


@pytest.fixture(scope="module")
def results(make_results: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("refusal") / "s"
    return read(make_results(folder, attacks=("fgsm", "rotate", *KINDS))).on("digits")


def test_panels_are_levels(results: Results) -> None:
    """No stress stands first, level 0 or clean data, then three levels from the lowest to the highest."""
    figures = drawn(results)
    assert {
        name: [axes.get_title() for axes in figure.axes] for name, figure in figures.items()
    } == {
        "corruption": ["clean", "severity = 1", "severity = 3", "severity = 5"],
        "fgsm": ["ε = 0", "ε = 0.05", "ε = 0.2", "ε = 0.5"],
        "rotate": ["angle = 0", "angle = 30", "angle = 90", "angle = 180"],
    }


def test_lines_are_what_is_kept(results: Results) -> None:
    """Each line is the accuracy of what a method keeps, on axes that all panels share."""
    figure = drawn(results)["corruption"]
    assert figure.get_suptitle() == "corruption (mean of 2 kinds)"
    (one,) = (one for one in analyse(results).families if len(one.members) > 1)
    for axes, level in zip(figure.axes[1:], (1.0, 3.0, 5.0), strict=True):
        for line, method in zip(axes.lines, results.methods, strict=True):
            curve = kept_accuracy(results, method, one, level)
            np.testing.assert_allclose(np.asarray(line.get_xdata(), float), curve.x)
            np.testing.assert_allclose(np.asarray(line.get_ydata(), float), curve.y)
        assert axes.get_ylim() == figure.axes[0].get_ylim()


def test_without_curves_there_is_no_figure(hand_made: Callable[..., Path]) -> None:
    """Older results, and those of real targets, have scores by level but no risks."""
    scores = [
        {
            "method": "map",
            "seed": 0,
            "condition": "fgsm",
            "level": level,
            "metric": "accuracy",
            "value": 0.5,
        }
        for level in (0.0, 0.1)
    ]
    assert drawn(read(hand_made(scores)).on("digits")) == {}
