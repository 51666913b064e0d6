"""The figure of costs shows whom no other method beats in cost and score, with what is known and no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from bench_uq.report.figures._style import styled
from bench_uq.report.figures.cost import draw, front
from bench_uq.report.looks import looks
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read, select

#: Seconds of training and NLL by method, a value a seed.
COSTS = {"map": (10.0, 20.0), "mnf": (60.0,), "dropout": (30.0,)}
NLL = {"map": (0.4, 0.6), "mnf": (0.2,), "dropout": (0.7,)}


@pytest.fixture
def results_of(hand_made: Callable[..., Path]) -> Callable[..., Results]:
    """Return a function that gives results by hand; fields of all runs may be set."""

    def results(**fields: object) -> Results:
        known = [
            (method, seed, cost)
            for method, values in COSTS.items()
            for seed, cost in enumerate(values)
        ]
        runs = [
            {
                "method": method,
                "seed": seed,
                "train_seconds": cost,
                "seconds_per_1000": 2.0,
                **fields,
            }
            for method, seed, cost in known
        ]
        scores = [
            {"method": method, "seed": seed, "metric": "nll", "value": NLL[method][seed]}
            for method, seed, _ in known
        ]
        return read(hand_made(runs=runs, scores=scores)).on("digits")

    return results


def drawn(results: Results) -> Figure:
    """Return the figure of some results."""
    with styled():
        (figure,) = draw(analyse(results), looks(results)).values()
        figure.draw_without_rendering()
    return figure


def marks(axes: Axes) -> list[tuple[float, float]]:
    """Return the place of every mark in a panel."""
    lines = [line for line in axes.lines if line.get_marker() != "None"]
    return [
        (float(np.asarray(line.get_xdata())[0]), float(np.asarray(line.get_ydata())[0]))
        for line in lines
    ]


def legend(figure: Figure) -> list[str]:
    """Return what stands in the legend."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ({"a": (1, 5), "b": (2, 3), "c": (3, 4), "d": (4, 1)}, ["a", "b", "d"]),
        ({"a": (1, 5), "b": (1, 4)}, ["b"]),
        ({"a": (1, 5), "b": (2, 5)}, ["a"]),
        ({"a": (1, 5), "b": (1, 5)}, ["a", "b"]),
        ({}, []),
    ],
)
def test_front(points: dict[str, tuple[float, float]], expected: list[str]) -> None:
    """Who is beaten in one thing and not better in the other is not on the front; equals share it."""
    assert front(points) == expected


def test_marks_are_means_and_whiskers_ranges(results_of: Callable[..., Results]) -> None:
    """A method stands at its mean cost and score, and reaches from its lowest to its highest seed."""
    training, prediction = drawn(results_of()).axes
    np.testing.assert_allclose(marks(training), [(15, 0.5), (30, 0.7), (60, 0.2)])
    np.testing.assert_allclose(marks(prediction), [(2, 0.5), (2, 0.7), (2, 0.2)])
    whiskers = [
        np.array(lines.get_segments()[0])
        for lines in training.collections
        if isinstance(lines, LineCollection)
    ]
    np.testing.assert_allclose(whiskers[0], [(10, 0.5), (20, 0.5)])
    np.testing.assert_allclose(whiskers[1], [(15, 0.4), (15, 0.6)])


def test_steps_go_through_the_front(results_of: Callable[..., Results]) -> None:
    """From the upper edge down to the cheapest, on to the next that is better, and to the right edge."""
    axes = drawn(results_of()).axes[0]
    steps = axes.lines[-1]
    right, top = axes.get_xlim()[1], axes.get_ylim()[1]
    assert np.asarray(steps.get_xdata()).tolist() == pytest.approx([15, 15, 60, right])
    assert np.asarray(steps.get_ydata()).tolist() == pytest.approx([top, 0.5, 0.2, 0.2])


def test_legend_says_what_whiskers_and_front_are(results_of: Callable[..., Results]) -> None:
    """Whiskers are named where a method has several seeds, and the front is one of the means, of all or of some."""
    results = results_of()
    assert legend(drawn(results))[-2:] == [
        "whiskers: range over seeds",
        "Pareto front of the means",
    ]
    first = replace(
        results,
        runs=results.runs[results.runs["seed"] == 0],
        scores=results.scores[results.scores["seed"] == 0],
    )
    assert legend(drawn(first)) == ["map", "dropout", "mnf", "Pareto front of the means"]
    loose = results.runs.assign(
        converged=results.runs["converged"].where(results.runs["method"] != "mnf", "False")
    )
    assert legend(drawn(replace(results, runs=loose)))[-1] == "front of the converged means"


def test_unconverged_methods_are_on_no_front(results_of: Callable[..., Results]) -> None:
    """Nothing is claimed of them, and the legend says so."""
    figure = drawn(results_of(converged=False))
    assert len(marks(figure.axes[0])) == len(figure.axes[0].lines) == 3
    assert legend(figure)[-1] == "no front: none converged"


def test_unknown_costs_have_no_panel(results_of: Callable[..., Results]) -> None:
    """Where one cost is not known the other is drawn alone; without both, or a score, there is no figure."""
    assert [axes.get_xlabel() for axes in drawn(results_of(seconds_per_1000="")).axes] == [
        "training (s)"
    ]


def test_no_figure_without_costs_or_scores(
    results_of: Callable[..., Results], make_results: Callable[..., Path], tmp_path: Path
) -> None:
    """Where all costs are unknown, or no score with a panel is left, there is nothing to draw."""
    free = results_of(seconds_per_1000="", train_seconds="")
    assert draw(analyse(free), looks(free)) == {}
    narrow = select(read(make_results(tmp_path / "s")), metrics=["brier"])
    assert draw(analyse(narrow.on("digits")), looks(narrow)) == {}
