"""Figures of scores show the numbers that were measured, and say what they rest on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench_uq.report import write
from bench_uq.report.figures.cost import front
from bench_uq.report.looks import looks
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read, select
from bench_uq.score.statistics import cliques
from bench_uq.score.stress import kept_accuracy

Build = Callable[..., Path]
ByHand = Callable[..., Results]
Drawn = Callable[[str, Results], dict[str, Figure]]


def lines(axes: Axes) -> list[np.ndarray]:
    """Return the heights of every line in a panel."""
    return [np.asarray(line.get_ydata(), float) for line in axes.lines]


def corners(axes: Axes) -> list[set[tuple[float, float]]]:
    """Return the corners of every band in a panel."""
    bands = [one for one in axes.collections if isinstance(one, PolyCollection)]
    return [set(map(tuple, np.asarray(one.get_paths()[0].vertices).tolist())) for one in bands]


def whiskers(axes: Axes) -> list[np.ndarray]:
    """Return the ends of the first whisker of every collection in a panel."""
    found = [one for one in axes.collections if isinstance(one, LineCollection)]
    return [np.array(one.get_segments()[0]) for one in found]


def legend(figure: Figure) -> list[str]:
    """Return what stands in the legend."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def levels(by_hand: ByHand, drawn: Drawn, rows: dict[tuple[str, str, float], object]) -> Figure:
    """Return the figure of scores by method, metric and level of an attack."""
    scores = {(*key[:2], "fgsm", key[2]): values for key, values in rows.items()}
    (figure,) = drawn("levels", by_hand(scores)).values()
    return figure


def test_levels_have_a_panel_for_each_score(
    make_results: Build, tmp_path: Path, drawn: Drawn
) -> None:
    """All nine, or those that a report was narrowed to; kinds of one thing have also their mean."""
    kinds = ("corruption", "corruption[kind=snow]")
    results = read(make_results(tmp_path / "s", attacks=(*kinds, "fgsm"))).on("digits")
    figures = drawn("levels", results)
    assert sorted(figures) == ["corruption", "corruption-mean", "corruption[kind=snow]", "fgsm"]
    assert [axes.get_ylabel() for axes in figures["fgsm"].axes] == [
        *("accuracy", "NLL (nats)", "ECE", "mean entropy (nats)", "mutual information (nats)"),
        *("AUROC against clean", "accuracy (80 % kept)", "AUROC of errors"),
        "mean entropy of errors (nats)",
    ]
    mean, *own = (lines(figures[name].axes[0])[0] for name in ("corruption-mean", *kinds))
    np.testing.assert_allclose(mean, np.mean(own, axis=0))
    said = figures["corruption-mean"].axes[-1].get_xlabel().replace("\n", "")
    assert said == "severity of corruption (mean of 2 kinds)"

    narrow = drawn("levels", select(results, metrics=["ece", "accuracy"]))["fgsm"]
    assert [axes.get_ylabel() for axes in narrow.axes] == ["accuracy", "ECE"]


def of_kinds(by_hand: ByHand, levels: dict[str, float]) -> Results:
    """Results of two methods and seeds on kinds of a corruption, each at a single level."""
    scores = {}
    for kind, level in levels.items():
        place = f"corruption[kind={kind}]", level
        scores["map", "accuracy", *place] = [0.5 + level / 10, 0.6 + level / 10]
        scores["mnf", "accuracy", *place] = [0.4, 0.4]
    return by_hand(scores)


def test_kinds_at_one_level_are_bars_side_by_side(by_hand: ByHand, drawn: Drawn) -> None:
    """A group of bars for each kind, the level in the title, and whiskers over the seeds."""
    figures = drawn("levels", of_kinds(by_hand, {"fog": 2, "snow": 2}))
    assert sorted(figures) == ["corruption-kinds", "corruption-mean"]
    (axes,) = figures["corruption-kinds"].axes
    assert axes.get_title() == "corruption, severity = 2"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["fog", "snow"]

    heights = [bar.get_height() for bar in axes.patches]
    np.testing.assert_allclose(heights, [0.75, 0.75, 0.4, 0.4])
    places = [bar.get_x() + bar.get_width() / 2 for bar in axes.patches]
    np.testing.assert_allclose(places, [-0.2, 0.8, 0.2, 1.2])
    np.testing.assert_allclose(whiskers(axes)[0], [(-0.2, 0.7), (-0.2, 0.8)])
    said = legend(figures["corruption-kinds"])
    assert said == ["map", "mnf", "whiskers: range over seeds"]


def test_kinds_at_levels_of_their_own_are_not_side_by_side(by_hand: ByHand, drawn: Drawn) -> None:
    """A severity of 2 beside one of 3, under one title, would be a comparison of neither."""
    figures = drawn("levels", of_kinds(by_hand, {"fog": 2, "snow": 3}))
    assert sorted(figures) == ["corruption[kind=fog]", "corruption[kind=snow]"]
    for name, level in (("fog", 2), ("snow", 3)):
        (axes,) = figures[f"corruption[kind={name}]"].axes
        assert axes.get_xticks().tolist() == [level]
        assert lines(axes)[0].tolist() == pytest.approx([0.55 + level / 10])


def test_distances_that_have_no_room_are_counted(by_hand: ByHand, drawn: Drawn) -> None:
    """Four conditions fit beside each other; the legend tells how many more there are."""
    places = [(), ("letters",), ("fgsm", 0.1), ("pgd", 0.1), ("rotate", 30.0), ("blur", 1.0)]
    for count, said in ((6, ["(2 more conditions not shown)"]), (4, [])):
        scores = {("map", "total_variation", *place): 0.1 for place in places[:count]}
        (figure,) = drawn("fidelity", by_hand(scores)).values()
        assert len(figure.axes) == 4
        assert [text for text in legend(figure) if "not shown" in text] == said


def test_each_method_has_its_own_floor(by_hand: ByHand, drawn: Drawn) -> None:
    """Methods of two priors have two references; the closest method stands in the first row."""
    scores = {}
    for method, distance, floor in (("map", 0.4, 0.1), ("mnf", 0.2, 0.3)):
        scores[method, "total_variation"] = distance
        scores[method, "total_variation_floor"] = floor
    (figure,) = drawn("fidelity", by_hand(scores)).values()
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["mnf", "map"]
    bars = [(bar.get_y() + bar.get_height() / 2, bar.get_width()) for bar in axes.patches]
    np.testing.assert_allclose(bars, [(0, 0.3), (1, 0.1)])


def test_levels_are_means_and_ranges_over_seeds(by_hand: ByHand, drawn: Drawn) -> None:
    """Bands, or whiskers at a single level, reach from lowest to highest; one seed has neither."""
    rows = {("map", "entropy", level): [level, level + 1, level + 2] for level in (0.0, 0.5)}
    figure = levels(by_hand, drawn, rows)
    assert lines(figure.axes[0])[0].tolist() == [1.0, 1.5]
    assert corners(figure.axes[0]) == [{(0.0, 0.0), (0.0, 2.0), (0.5, 0.5), (0.5, 2.5)}]
    assert legend(figure) == ["map", "band: range over seeds"]

    figure = levels(by_hand, drawn, {(name, "entropy", 0.3): [1.0, 2.0] for name in ("map", "mnf")})
    first, second = (float(np.asarray(line.get_xdata())[0]) for line in figure.axes[0].lines)
    assert first < 0.3 < second  # side by side: neither hides the other
    np.testing.assert_allclose(whiskers(figure.axes[0])[0], [(first, 1.0), (first, 2.0)])
    assert legend(figure)[-1] == "whiskers: range over seeds"
    assert legend(levels(by_hand, drawn, {("map", "entropy", 0.3): 1.0})) == ["map"]


def test_holes_of_levels_are_gaps(by_hand: ByHand, drawn: Drawn) -> None:
    """A line is broken where a value is missing or infinite; the legend counts the fewest seeds."""
    rows = {("map", "entropy", level): [1.0, 1.0] for level in (0.0, 0.2)}
    rows["map", "entropy", 0.5] = [1.0]
    holes = {
        ("mnf", "entropy", level): value for level, value in ((0.0, 2.0), (0.2, ""), (0.5, 2.0))
    }
    figure = levels(by_hand, drawn, {**rows, **holes})
    np.testing.assert_array_equal(lines(figure.axes[0])[1], [2, np.nan, 2])
    assert legend(figure) == ["map (1/2 seeds)", "mnf", "band: range over seeds"]

    infinite = {("map", "nll", 0.0): 0.5, ("map", "nll", 0.5): "inf"}
    figure = levels(by_hand, drawn, infinite)
    np.testing.assert_array_equal(lines(figure.axes[0])[0], [0.5, np.nan])
    del infinite["map", "nll", 0.0]
    figure = levels(by_hand, drawn, infinite)
    assert [text.get_text() for text in figure.axes[0].texts] == ["no finite value"]


def test_levels_are_held_against_chance_and_calibration(by_hand: ByHand, drawn: Drawn) -> None:
    """The ECE of the worst calibrated model is a line, and the axis of an AUROC holds a half."""
    rows = {("map", "ece", level): 0.3 for level in (0.0, 0.5)}
    for name, value in (("map", 0.01), ("mnf", 0.02)):
        rows |= {(name, "ece_if_calibrated", level): value for level in (0.0, 0.5)}
    figure = levels(by_hand, drawn, rows)
    assert lines(figure.axes[0])[-1].tolist() == [0.02, 0.02]
    assert legend(figure)[-1] == "ECE floor (highest)"

    for lowest in (0.7, 0.3):
        values = {0.1: lowest, 0.3: 0.9}
        rows = {("map", "auroc_entropy", level): value for level, value in values.items()}
        low, high = levels(by_hand, drawn, rows).axes[0].get_ylim()
        assert low < min(0.5, lowest) < 0.9 < high


def test_panels_share_the_axis_of_levels(by_hand: ByHand, drawn: Drawn) -> None:
    """A score without a value at high levels has the axis of all, whose numbers stand once."""
    rows = {("map", "accuracy", level): 1 - level for level in (0.0, 0.2, 0.5)}
    rows |= {("map", "auroc_errors_entropy", level): 0.7 for level in (0.0, 0.2)}
    first, second = (axes.get_xlim() for axes in levels(by_hand, drawn, rows).axes)
    assert first == second
    assert first[0] <= 0 < 0.5 <= first[1]


def test_refusal_is_shown_at_levels_spread_over_all(
    make_results: Build, by_hand: ByHand, tmp_path: Path, drawn: Drawn
) -> None:
    """No stress stands first; lines are the accuracy of what each method keeps, if it is known."""
    assert drawn("rejection", by_hand({("map", "accuracy", "fgsm", 0.1): 0.5})) == {}
    attacks = ("fgsm", "rotate", "corruption", "corruption[kind=snow]")
    results = read(make_results(tmp_path / "s", attacks=attacks)).on("digits")

    figures = drawn("rejection", results)
    titles = {}
    for name, figure in figures.items():
        titles[name] = [axes.get_title() for axes in figure.axes]
    assert titles == {
        "corruption": ["clean", "severity = 1", "severity = 3", "severity = 5"],
        "fgsm": ["ε = 0", "ε = 0.05", "ε = 0.2", "ε = 0.5"],
        "rotate": ["angle = 0", "angle = 30", "angle = 90", "angle = 180"],
    }
    assert figures["corruption"].get_suptitle() == "corruption (mean of 2 kinds)"

    (family,) = (one for one in analyse(results).families if len(one.members) > 1)
    for axes, level in zip(figures["corruption"].axes[1:], (1.0, 3.0, 5.0), strict=True):
        for line, method in zip(axes.lines, results.methods, strict=True):
            curve = kept_accuracy(results, method, family, level)
            np.testing.assert_allclose(line.get_xydata(), np.column_stack((curve.x, curve.y)))


@pytest.fixture(scope="module")
def fifteen(make_results: Build, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Return results on clean data and under fourteen shifts."""
    folder = tmp_path_factory.mktemp("fifteen") / "s"
    shifts = [f"shift{number:02}" for number in range(14)]
    return read(make_results(folder, ("map",), unseen=("letters",), attacks=shifts)).on("digits")


@pytest.mark.parametrize("kind", ["risk-coverage", "accuracy-confidence"])
def test_curves_are_shown_clean_and_where_methods_differ(
    kind: str, fifteen: Results, drawn: Drawn
) -> None:
    """Twelve conditions have a panel, unseen data none, and the legend tells how many have not.

    Beyond 0.2 no method is better than chance.
    """
    (figure,) = drawn(kind, fifteen).values()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:2] == ["clean", "shift00\nlevel = 0.2"]
    assert len(titles) == 12
    assert legend(figure)[-1] == "(3 more not shown)"
    assert figure.get_figheight() < 9.5


def test_curves_are_means_over_seeds_with_gaps(by_hand: ByHand, drawn: Drawn) -> None:
    """Where one seed is never so sure there is no mean: not that of the others, and no bridge."""
    seeds = ((0.5, 0.6, "", 0.8), (0.7, 0.8, 0.8, 0.9))
    curves = {}
    for seed, values in enumerate(seeds):
        points = {place / 4: y for place, y in enumerate(values)}
        curves["map", seed, "accuracy_confidence"] = points
    (figure,) = drawn("accuracy-confidence", by_hand(curves=curves)).values()
    np.testing.assert_allclose(lines(figure.axes[0]), [[0.6, 0.7, np.nan, 0.85]])


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
    by_hand: ByHand, drawn: Drawn, first: int, second: int, start: float
) -> None:
    """Where all methods are right on most examples only the others are shown, as ticks tell."""
    curves = {}
    for name, right in (("map", first), ("mnf", second)):
        curves[name, 0, "risk_coverage"] = {
            (place + 1) / 100: 0.1 * (place >= right) for place in range(100)
        }

    (figure,) = drawn("risk-coverage", by_hand(curves=curves)).values()
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    seen = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert start - 0.03 < low < start
    assert start == pytest.approx(seen[0])
    assert len(seen) >= 3
    assert 1 < high < 1.03


#: Seconds of training and NLL by method, a value a seed.
COSTS = {"map": (10.0, 20.0), "mnf": (60.0,), "dropout": (30.0,)}
NLL = {("map", "nll"): [0.4, 0.6], ("mnf", "nll"): 0.2, ("dropout", "nll"): 0.7}


def costs(by_hand: ByHand, **fields: object) -> Results:
    """Return results with these costs and scores; fields of all runs may be set."""
    runs = []
    for name, values in COSTS.items():
        for seed, cost in enumerate(values):
            run = {"method": name, "seed": seed, "train_seconds": cost, "seconds_per_1000": 2.0}
            runs.append(run | fields)
    return by_hand(NLL, runs=runs)


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
    """Who is beaten in one and not better in the other is not on the front; equals share it."""
    assert front(points) == expected


def test_costs_are_means_ranges_and_a_front(by_hand: ByHand, drawn: Drawn) -> None:
    """The front steps down from the cheapest mean to the best; a cost nobody knows has no panel."""
    results = costs(by_hand)
    (figure,) = drawn("cost", results).values()
    training, prediction = figure.axes
    for axes, seconds in ((training, (15, 30, 60)), (prediction, (2, 2, 2))):
        marks = [line.get_xydata()[0] for line in axes.lines if line.get_marker() != "None"]
        np.testing.assert_allclose(marks, list(zip(seconds, (0.5, 0.7, 0.2), strict=True)))
    np.testing.assert_allclose(whiskers(training)[0], [(10, 0.5), (20, 0.5)])
    np.testing.assert_allclose(whiskers(training)[1], [(15, 0.4), (15, 0.6)])
    steps = training.lines[-1].get_xydata()
    right, top = training.get_xlim()[1], training.get_ylim()[1]
    np.testing.assert_allclose(steps, [(15, top), (15, 0.5), (60, 0.2), (right, 0.2)])
    assert legend(figure)[-2:] == ["whiskers: range over seeds", "Pareto front of the means"]

    runs, scores = (table[table["seed"] == 0] for table in (results.runs, results.scores))
    (figure,) = drawn("cost", replace(results, runs=runs, scores=scores)).values()
    assert legend(figure) == ["map", "dropout", "mnf", "Pareto front of the means"]
    (figure,) = drawn("cost", costs(by_hand, seconds_per_1000="")).values()
    assert [axes.get_xlabel() for axes in figure.axes] == ["training (s)"]
    assert drawn("cost", costs(by_hand, seconds_per_1000="", train_seconds="")) == {}


def test_of_many_methods_those_on_the_front_have_whiskers(by_hand: ByHand, drawn: Drawn) -> None:
    """The whiskers of 13 methods would hide their marks; the legend says whose are drawn."""
    scores, runs = {}, []
    for number in range(13):
        name = f"m{number:02}"
        scores[name, "nll"] = [0.5, 0.7] if number else [0.3, 0.5]
        for seed in range(2):
            cost = 10 + number + seed
            runs.append({"method": name, "seed": seed, "train_seconds": cost})

    (figure,) = drawn("cost", by_hand(scores, runs=runs)).values()
    training = figure.axes[0]
    assert len([line for line in training.lines if line.get_marker() != "None"]) == 13
    (across, up) = whiskers(training)
    np.testing.assert_allclose(across, [(10, 0.4), (11, 0.4)])
    np.testing.assert_allclose(up, [(10.5, 0.3), (10.5, 0.5)])
    assert len(training.collections) == 2
    assert legend(figure)[-2] == "whiskers of the front: range"


def test_methods_that_are_not_alike_are_on_no_front(by_hand: ByHand, drawn: Drawn) -> None:
    """Nothing is claimed of them, and the legend says so."""
    results = costs(by_hand)
    other = results.runs["precision"].where(results.runs["method"] != "mnf", "bfloat16")
    other = other.where(results.runs["method"] == "mnf", "float32")
    unlike = results.runs.assign(precision=other)
    (figure,) = drawn("cost", replace(results, runs=unlike)).values()
    assert legend(figure)[-1] == "front of the methods that are alike"
    alone = unlike[unlike["method"] != "dropout"]
    (figure,) = drawn("cost", replace(results, runs=alone)).values()
    assert legend(figure)[-1] == "no front: no two methods are alike"
    assert all(line.get_marker() != "None" for line in figure.axes[0].lines)


@pytest.fixture(scope="module")
def ranked(make_results: Build, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Return results on so many datasets that some methods can be told apart."""
    folder = tmp_path_factory.mktemp("ranked") / "ranked"
    datasets = [f"data-{number}" for number in range(30)]
    methods = ("map", "dropout", "mnf", "sgld", "swag")
    return read(make_results(folder, methods, datasets=datasets, unseen=(), attacks=()))


def ranks_at(axes: Axes, line: Line2D) -> np.ndarray:
    """Return where the points of a line stand, in ranks."""
    ticks = {text.get_text(): text.get_position()[0] for text in axes.texts}
    return 1 + (np.asarray(line.get_xdata(), float) - ticks["1"]) / (ticks["2"] - ticks["1"])


def places(axes: Axes, results: Results) -> dict[str, float]:
    """Return where the mark of each method stands, in ranks."""
    names = {(look.color, look.marker): name for name, look in looks(results).items()}
    marks = [line for line in axes.lines if (line.get_color(), line.get_marker()) in names]
    return {
        names[line.get_color(), line.get_marker()]: float(ranks_at(axes, line)[0])  # type: ignore[index]
        for line in marks
    }


def test_bars_join_exactly_what_is_not_distinguishable(ranked: Results, drawn: Drawn) -> None:
    """Marks stand at mean ranks; each bar covers one group of cliques, and every group has one."""
    (figure,) = drawn("ranks", ranked).values()
    for axes, metric in zip(figure.axes, ("nll", "accuracy", "ece"), strict=True):
        ranks = analyse(ranked).rankings[metric].ranks
        assert ranks is not None
        assert places(axes, ranked) == pytest.approx(ranks.mean)
        assert f"CD = {ranks.critical:.2f}" in [text.get_text() for text in axes.texts]

        covered = []
        for bar in [line for line in axes.lines if line.get_linewidth() > 2]:
            low, high = ranks_at(axes, bar)
            covered.append({name for name, rank in ranks.mean.items() if low <= rank <= high})
        assert covered == [set(group) for group in cliques(ranks)]
        assert len(covered) > 1
        box = axes.title.get_window_extent()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1

    (alone,) = drawn("ranks", select(ranked, metrics=["ece"])).values()
    assert [axes.get_title()[:5] for axes in alone.axes] == ["ECE ↓"]
    assert drawn("ranks", select(ranked, datasets=["data-0"])) == {}


def test_ranks_tell_what_they_rest_on(ranked: Results, drawn: Drawn) -> None:
    """Who lacks a value on some dataset has no rank, lacking runs are counted, and so is power."""
    scores, runs = ranked.scores, ranked.runs
    missing = (scores["method"] == "sgld") & (scores["dataset"] != "data-3")
    first = runs[(runs["method"] == "map") & (runs["dataset"] == "data-0")]
    failed = pd.concat([runs, first.assign(seed=1, status="failed")])
    (figure,) = drawn("ranks", replace(ranked, scores=scores[~missing], runs=failed)).values()
    found = [text.get_text() for text in figure.axes[0].texts]
    assert "left out for missing values or other settings: method sgld" in found
    assert "sgld" not in found
    assert "map (30/31 runs)" in found

    few = select(ranked, datasets=["data-0", "data-1"], metrics=["nll"])
    (figure,) = drawn("ranks", few).values()
    assert figure.axes[0].get_title() == "NLL ↓: inconclusive, 5 methods on 2 datasets"


def test_equal_ranks_stand_side_by_side(ranked: Results, drawn: Drawn) -> None:
    """Methods of one mean rank stand around it, and the legend tells it."""
    datasets = ["data-0", "data-1"]
    few = select(ranked, methods=["map", "mnf", "sgld"], datasets=datasets, metrics=["nll"])
    ranks = {("map", "data-0"): 1, ("map", "data-1"): 2, ("mnf", "data-0"): 2, ("mnf", "data-1"): 1}
    keys = zip(few.scores["method"], few.scores["dataset"], strict=True)
    values = [float(ranks.get(key, 3)) for key in keys]
    results = replace(few, scores=few.scores.assign(value=values))
    (figure,) = drawn("ranks", results).values()
    found = places(figure.axes[0], results)
    assert found["map"] < 1.5 < found["mnf"]
    assert found["map"] + found["mnf"] == pytest.approx(3)
    assert found["sgld"] == pytest.approx(3)
    assert "side by side: equal ranks" in legend(figure)


def banded(make_results: Build, folder: Path, *failed: tuple[str, int]) -> Results:
    """Return synthetic results of two methods over three seeds, some of which failed."""
    runs = {key: {"status": "failed", "converged": ""} for key in failed}
    shown = {"datasets": (), "one_feature": ("cubic",), "runs": runs}
    return read(make_results(folder, ("map", "mnf"), range(3), **shown)).on("cubic")


def curve(results: Results, method: str, seed: int, name: str, condition: str) -> np.ndarray:
    """Return the points of a curve as it stands in curves.csv.gz."""
    asked = {"method": method, "seed": seed, "curve": name, "condition": condition}
    rows = results.curves
    for column, value in asked.items():
        rows = rows[rows[column] == value]
    return rows.sort_values("x")[["x", "y"]].to_numpy(float)


def test_bands_show_the_curves_of_one_seed(
    make_results: Build, tmp_path: Path, drawn: Drawn
) -> None:
    """Mean, targets and training examples, bands of one and two deviations, and what is unseen."""
    results = banded(make_results, tmp_path / "s")
    (figure,) = drawn("bands", results).values()
    for axes, method in zip(figure.axes, ("map", "mnf"), strict=True):
        mean, target, seen = (
            curve(results, method, 0, f"regression_{name}", condition)
            for name, condition in (("mean", "clean"), ("target", "clean"), ("target", "train"))
        )
        for line, points in zip(axes.lines, (mean, target, seen), strict=True):
            np.testing.assert_array_equal(line.get_xydata(), points)
        deviation = curve(results, method, 0, "regression_std", "clean")[:, 1]
        for times, found in zip((2, 1), corners(axes), strict=True):
            for (x, y), spread in zip(mean, deviation, strict=True):
                heights = [height for at, height in found if at == x]
                assert min(heights) == pytest.approx(y - times * spread)
                assert max(heights) == pytest.approx(y + times * spread)

        shaded = [
            one.get_window_extent().transformed(axes.transData.inverted()) for one in axes.patches
        ]
        spans = sorted((box.x0, box.x1) for box in shaded)
        np.testing.assert_allclose(spans, [(-6, seen[:, 0].min()), (seen[:, 0].max(), 6)])
        low, high = axes.get_ylim()
        assert low < target[:, 1].min() < target[:, 1].max() < high
        assert high - low < 1.5 * np.ptp(target[:, 1])


def test_bands_are_of_the_seed_that_most_methods_finished(
    make_results: Build, by_hand: ByHand, tmp_path: Path, drawn: Drawn
) -> None:
    """It is named, a method without it says so, and bands stand alone where nothing else is known."""
    results = banded(make_results, tmp_path / "one", ("map", 0))
    (figure,) = drawn("bands", results).values()
    assert "training targets (seed 1)" in legend(figure)
    for axes, method in zip(figure.axes, ("map", "mnf"), strict=True):
        points = curve(results, method, 1, "regression_target", "train")
        np.testing.assert_array_equal(axes.lines[2].get_xydata(), points)

    results = banded(make_results, tmp_path / "all", ("map", 0), ("map", 1), ("map", 2))
    (figure,) = drawn("bands", results).values()
    assert [text.get_text() for text in figure.axes[0].texts] == ["seed 0 did not finish"]
    assert [len(axes.lines) for axes in figure.axes] == [0, 3]

    curves = {("map", 0, f"regression_{name}"): {0.0: 1.0, 1.0: 1.0} for name in ("mean", "std")}
    (figure,) = drawn("bands", by_hand(curves=curves)).values()
    assert [len(line) for line in lines(figure.axes[0])] == [2, 0]


def test_bands_are_linked_by_the_report(make_results: Build, tmp_path: Path) -> None:
    """The report of a dataset of one feature has the figure; one of several features has none."""
    made = make_results(tmp_path / "s", datasets=(), regression=("boston",), one_feature=("cubic",))
    files = write(made, tmp_path / "report", formats=["svg", "markdown"])
    assert [path.name for path in files if "bands" in path.name] == ["cubic-bands.svg"]
    assert "(figures/cubic-bands.svg)" in (tmp_path / "report" / "summary.md").read_text()


def test_one_far_method_leaves_the_others_apart(by_hand: ByHand, drawn: Drawn) -> None:
    """Beyond ten times the median distance the axis is logarithmic, and holds floors and marks."""
    for furthest, scale in ((0.3, "linear"), (9.0, "log")):
        scores = {}
        for method, distance in (("map", 0.2), ("mnf", 0.25), ("sgld", furthest)):
            scores[method, "total_variation"] = distance
            scores[method, "total_variation_floor"] = 0.1
        (figure,) = drawn("fidelity", by_hand(scores)).values()
        axes = figure.axes[0]
        assert axes.get_xscale() == scale
        low, high = axes.get_xlim()
        assert low < 0.1
        assert high > furthest
        for bar in axes.patches:
            assert bar.get_x() == pytest.approx(low)
            assert bar.get_x() + bar.get_width() == pytest.approx(0.1)
