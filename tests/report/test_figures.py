"""Every figure is printable, looks the same everywhere and leaves the process alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatch
from itertools import combinations, product
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy import stats

from bench_uq.report.figures import draw, kinds, levels
from bench_uq.report.figures._layout import PAGE_HEIGHT, logarithmic
from bench_uq.report.figures._legend import label
from bench_uq.report.figures._panels import each_panel
from bench_uq.report.figures._style import FORMATS, styled
from bench_uq.report.looks import looks
from bench_uq.report.paper import COLUMN, PAGE, read_paper
from bench_uq.score.analysis import Analysis, analyse
from bench_uq.score.results import Results, read, select
from bench_uq.score.trials import Trial
from bench_uq.store.about import About

Drawn = Callable[[str, Results], dict[str, Figure]]
Tried = Callable[..., tuple[Trial, ...]]
METHODS = (
    *("map", "dropout", "ensemble", "mean-field", "mnf", "laplace", "sgld", "swag[rank=20]"),
    *("temperature", "mean-field[prior=log-uniform]", "mnf[flows=4,hidden=50,members=5]"),
    "vogn[damping=0.001,momentum=0.9,samples=8]",
)
ATTACKS = ("pgd[norm=l2]", "rotate", "corruption", "corruption[kind=impulse-noise]")
KINDS = {kind.name: kind for kind in kinds()}
TUNING = ("tuning-curves", "tuning-sensitivity")
OF_IMAGES = ("examples", "inputs", "rotation")


@pytest.fixture(scope="module")
def two(make_results: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("two") / "two"
    shown = {"attacks": ("fgsm", "rotate"), "one_feature": ("cubic",)}
    return read(make_results(folder, METHODS[:2], range(2), datasets=("digits", "mnist"), **shown))


@pytest.fixture(scope="module")
def twelve(make_results: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Return results of twelve methods, of a single seed: there is no range over seeds."""
    folder = tmp_path_factory.mktemp("twelve") / "twelve"
    shown = {"unseen": ("letters", "notmnist", "fashion"), "attacks": ATTACKS}
    datasets = {"datasets": ("digits", "mnist"), "one_feature": ("cubic",)}
    return read(make_results(folder, METHODS, **datasets, **shown))


@pytest.fixture(scope="module")
def published() -> Results:
    """Return the results of 31 methods that are in the repository."""
    return read(Path(__file__).parents[2] / "results" / "methods")


@pytest.fixture(scope="module")
def analysed(published: Results) -> Analysis:
    """Return their analysis, which most kinds of figures share."""
    return analyse(published.on("digits"))


def with_distances(results: Results) -> Results:
    """Return results with distances to a reference, and their floor, wherever there is an entropy."""
    scores = results.scores.astype({"metric": "str"})
    found = [scores]
    for metric, value in (("total_variation", 0.1), ("total_variation_floor", 0.02)):
        rows = scores[scores["metric"] == "entropy"]
        found.append(rows.assign(metric=metric, value=value * (0.5 + rows["value"])))
    return replace(results, scores=pd.concat(found, ignore_index=True))


def own(kind: str, results: Results) -> Results:
    """Return the part of results that figures of a kind show."""
    if kind == "fidelity":
        results = with_distances(results)
    if KINDS[kind].across_datasets:
        return results
    return results.on("cubic" if kind == "bands" and "cubic" in results.datasets else "digits")


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_is_printable(
    kind: str, two: Results, twelve: Results, told: Results, drawn: Drawn, tried: Tried
) -> None:
    """Of two methods, twelve of one seed and a story of failures: all is large and lies apart."""
    for results in (two, twelve, told):
        if kind in TUNING:
            studies = 1 + (results is twelve)
            results = replace(results, trials=tried(results.on("digits").methods, studies))
        figures = drawn(kind, own(kind, results))
        nothing = {("bands", id(told)), ("equivalent", id(two))}  # no ensemble among two
        assert figures or (kind, id(results)) in nothing
        for figure in figures.values():
            assert figure.get_figwidth() in (COLUMN, PAGE)
            assert figure.get_figheight() < 9.5
            with styled():
                assert_legible(figure)


@pytest.mark.parametrize("width", [8.3, "panels"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_has_the_width_asked_for(
    kind: str, width: str | float, two: Results, twelve: Results, tried: Tried
) -> None:
    """Legible at the size that it is printed at, with type of seven to nine points."""
    panels = width == "panels"
    paper = read_paper("" if panels else width, panels=panels)
    for results in (two, twelve):
        if kind in TUNING:
            results = replace(results, trials=tried(results.on("digits").methods, 1))
        analysis = analyse(own(kind, results))
        with styled(paper):
            figures = KINDS[kind].module.draw(analysis, looks(results))
            assert figures or (kind, id(results)) == ("equivalent", id(two))
            for figure in figures.values():
                laid_out(figure)
                assert figure.get_figwidth() == paper.page == paper.column
                assert_legible(figure)
                sizes = {float(text.get_fontsize()) for text in written(figure)}
                assert 7 <= min(sizes) <= max(sizes) <= 9


@pytest.mark.parametrize("width", ["column", "page"])
@pytest.mark.parametrize("kind", KINDS)
def test_figures_of_many_methods_are_parted(
    kind: str, width: str, published: Results, analysed: Analysis
) -> None:
    """Of the methods that are published, every sheet fits a page and is legible."""
    analysis, paper = analysed, read_paper(width)
    if kind == "fidelity" or KINDS[kind].across_datasets:
        analysis = analyse(own(kind, published))
    with styled(paper):
        figures = KINDS[kind].module.draw(analysis, looks(published))
        for figure in figures.values():
            laid_out(figure)
            assert figure.get_figheight() <= PAGE_HEIGHT + 0.2  # with a legend of 31 methods
            assert_legible(figure)

    several = {"reliability", "entropy-histogram", "levels"}
    if width == "column":
        several |= {"examples", "fidelity"}
    assert (len(figures) > 1) == (kind in several)
    assert sorted(figures) == list(figures)
    if kind == "reliability":
        titles = list[str]()
        for one in figures.values():
            titles += [axes.get_title() for axes in one.axes[::2]]
        names = ["".join(title.partition("\nECE")[0].split()) for title in titles]
        assert [name.removesuffix("†") for name in names] == [
            analysis.label(method).replace(" ", "") for method in analysis.methods
        ]


@pytest.mark.parametrize("kind", KINDS)
def test_each_panel_has_a_file_of_its_own(kind: str, two: Results, tried: Tried) -> None:
    """No panel is wider than asked for, all of its text is in its file, and no other panel."""
    results = replace(two, trials=tried(two.on("digits").methods, 1))
    paper = read_paper(9, panels=True)
    with styled(paper):
        for figure in KINDS[kind].module.draw(analyse(own(kind, results)), looks(two)).values():
            laid_out(figure)
            ends, held = [], list[Axes]()
            for end, box in each_panel(figure):
                ends.append(end)
                assert box.width <= paper.page + 0.07
                shown = [axes for axes in figure.axes if axes.get_visible()]
                held += shown
                inches = figure.dpi_scale_trans.inverted()
                for axes in shown:
                    inside = axes.get_tightbbox().transformed(inches)
                    assert box.padded(0.02).contains(inside.x0, inside.y0)
                    assert box.padded(0.02).contains(inside.x1, inside.y1)
            assert held == figure.axes
            assert len(set(ends)) == len(ends)
            assert ends[-1] == "legend"
            assert all(axes.get_visible() for axes in figure.axes)


def laid_out(figure: Figure) -> None:
    """Place the panels and the legend of a figure, as they are printed."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def assert_legible(figure: Figure) -> None:
    """No text is smaller than seven points, or on another; panels and legend meet nowhere."""
    texts = written(figure)
    assert min(float(text.get_fontsize()) for text in texts) >= 7
    boxes = [(text.get_text(), text.get_window_extent().padded(-1)) for text in texts]
    lying = [(a, b) for (a, one), (b, other) in combinations(boxes, 2) if one.overlaps(other)]
    assert lying == []

    (legend,) = figure.legends
    edge, sheet = legend.get_window_extent(), figure.bbox
    assert sheet.x0 <= edge.x0 < edge.x1 <= sheet.x1
    assert sheet.y0 <= edge.y0
    panels = [box for axes in figure.axes if (box := axes.get_tightbbox())]
    assert len(panels) == len(figure.axes)
    for box in panels:
        assert edge.y1 - 1 <= box.y0 < box.y1 <= sheet.y1 + 1
        assert -1 <= box.x0 < box.x1 <= sheet.x1 + 1
    pairs = combinations([box.padded(-1) for box in panels], 2)
    assert not [(one, other) for one, other in pairs if one.overlaps(other)]


def written(figure: Figure) -> list[Text]:
    """Return the texts of a figure, but the numbers that an axis keeps beyond its ends."""
    beyond = set()
    every = [axes.xaxis for axes in figure.axes] + [axes.yaxis for axes in figure.axes]
    for axis in every:
        low, high = sorted(axis.get_view_interval())
        outside = [tick for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]
        beyond |= {tick.label1 for tick in outside} | {tick.label2 for tick in outside}
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text not in beyond]
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


@pytest.mark.parametrize("kind", KINDS)
def test_where_nothing_is_known_nothing_is_drawn(
    kind: str, hand_made: Callable[..., Path], two: Results, drawn: Drawn
) -> None:
    """Failed runs, a score that no figure shows, one method and inputs that are no images."""
    failed = [{"method": name, "seed": 0, "status": "failed", "converged": ""} for name in METHODS]
    assert drawn(kind, read(hand_made(runs=failed))) == {}

    score = {"method": "map", "seed": 0, "metric": "brier", "value": 0.5}
    curve = {"method": "map", "seed": 0, "curve": "of later versions", "x": 1.0, "y": 0.5}
    poor = hand_made([score, score | {"condition": "fgsm", "level": 0.1}], [curve])
    assert drawn(kind, read(poor)) == {}

    if kind in OF_IMAGES:
        features = [replace(one, inputs=np.zeros((len(one.inputs), 5))) for one in two.examples]
        assert drawn(kind, replace(two, examples=tuple(features)).on("digits")) == {}
    if kind == "ranks":
        assert drawn(kind, select(two, methods=["map"])) == {}


@pytest.fixture(scope="module")
def files(report: tuple[Path, list[Path]]) -> dict[str, bytes]:
    """Return all figures of the story by name."""
    return {path.name: path.read_bytes() for path in (report[0] / "figures").iterdir()}


def test_every_kind_is_there_in_every_format(files: dict[str, bytes], two: Results) -> None:
    """Names tell dataset, kind and condition; what has no classes has no figure of them."""
    for name in KINDS.keys() - {"bands", "fidelity", *TUNING}:
        for suffix in FORMATS:
            across = KINDS[name].across_datasets
            pattern = f"{name}*.{suffix}" if across else f"digits-{name}*.{suffix}"
            found = [len(made) for file, made in files.items() if fnmatch(file, pattern)]
            assert min(found, default=0) > 5000

    assert {"digits-levels-fgsm.svg", "digits-rotation.svg", "digits-risk-coverage.pdf"} < set(
        files
    )
    others = {name for name in files if not name.startswith("digits-")}
    of_all = ("ranks", "boston-training", "boston-cost")
    assert others == {f"{name}.{suffix}" for name, suffix in product(of_all, FORMATS)}

    narrow = select(two, methods=["map"], datasets=["cubic"])
    assert {name[-4:] for _, name in draw(analyse(narrow), ["svg"])} == {".svg"}


def test_files_do_not_tell_of_their_making(files: dict[str, bytes]) -> None:
    """Fonts are embedded or drawn as shapes; there is no date, no program, no needless pixel."""
    for name, content in files.items():
        for word in (b"CreationDate", b"Producer", b"dc:date", b"dc:creator", b"Software"):
            assert word not in content, name
        if name.endswith(".svg"):
            assert b"<text" not in content
        if name.endswith(".pdf"):
            assert b"/FontFile2" in content
            shows_inputs = any(kind in name for kind in OF_IMAGES)
            assert (b"/Subtype /Image" in content) == shows_inputs


def test_panels_of_reliability_are_square(
    two: Results, twelve: Results, make_results: Callable[..., Path], tmp_path: Path, drawn: Drawn
) -> None:
    """The diagonal has 45 degrees, unless more methods than twelve have to fit a page."""
    for results in (two, twelve):
        (figure,) = drawn("reliability", own("reliability", results)).values()
        boxes = [axes.get_window_extent() for axes in figure.axes[::2]]
        assert [box.width for box in boxes] == pytest.approx(
            [box.height for box in boxes], rel=0.02
        )

    methods = [f"m{number}" for number in range(16)]
    many = read(make_results(tmp_path / "s", methods, unseen=(), attacks=()))
    (figure,) = drawn("reliability", many).values()
    assert 9 < figure.get_figheight() < 9.5


def test_panels_of_any_method_have_one_size(by_hand: Callable[..., Results], drawn: Drawn) -> None:
    """Also that of a method without a finished run, and of one all of whose bins are filled."""
    of_bins = {
        "share": (0.005, 0.5, 0.495),
        "accuracy": (0, 0.5, 0.9),
        "confidence": (0.3, 0.5, 0.8),
    }
    curves = {}
    for name, values in of_bins.items():
        points = dict(zip((0.3, 0.5, 0.8), values, strict=True))
        curves["map", 0, f"reliability_{name}"] = points
        curves["mnf", 0, f"reliability_{name}"] = {x: points[x] for x in (0.5, 0.8)}
    failed = [{"method": "sgld", "seed": 0, "status": "failed"}]

    (figure,) = drawn("reliability", by_hand(curves=curves, runs=failed)).values()
    sizes = np.array([axes.get_position().size for axes in figure.axes[::2]])
    np.testing.assert_allclose(sizes, sizes[[0, 0, 0]])
    assert (sizes > (0.2, 0.3)).all()


def test_no_panel_by_level_stands_in_a_row_alone(drawn: Drawn) -> None:
    """Ten scores stand in rows of four, four and two, because rows of three leave one over."""
    published = read(Path(__file__).parents[2] / "results" / "mnist-stress")
    figure = drawn("levels", select(published, conditions=["fgsm"]))["fgsm"]
    rows = Counter(round(axes.get_position().y0, 3) for axes in figure.axes)
    assert sorted(rows.values()) == [2, 4, 4]


#: Panels in a row by width and number: of a page, of 12 centimetres and of a column.
IN_A_ROW = {
    "": {1: 1, 2: 2, 3: 3, 4: 4, 6: 3, 7: 4, 10: 4, 13: 3},
    12: {4: 2, 6: 3, 7: 3, 10: 2},
    "column": {4: 2, 7: 2},
}


@pytest.mark.parametrize("width", list(IN_A_ROW))
def test_panels_in_a_row_leave_none_over_where_that_can_be(width: str | float) -> None:
    """Rows of three, else of as many as there is room for, else of two."""
    with styled(read_paper(width)):
        found = {count: levels.in_a_row(count) for count in IN_A_ROW[width]}
    assert found == IN_A_ROW[width]


def test_reliability_has_bars_of_what_is_chance(
    by_hand: Callable[..., Results], drawn: Drawn
) -> None:
    """Where the number of examples is known, at each bin's confidence; else nothing claims it."""
    of_bins = {"share": (0.2, 0.8), "accuracy": (0.6, 0.7), "confidence": (0.5, 0.9)}
    curves = {}
    for name, values in of_bins.items():
        points = dict(zip((0.5, 0.9), values, strict=True))
        curves["map", 0, f"reliability_{name}"] = points

    said = "90 % of outcomes if calibrated"
    (figure,) = drawn("reliability", by_hand({("map", "examples"): 50}, curves)).values()
    (bars,) = [one for one in figure.axes[0].collections if isinstance(one, LineCollection)]
    expected = []
    for confidence, count in ((0.5, 10), (0.9, 40)):
        low, high = stats.binom.ppf([0.05, 0.95], count, confidence) / count
        expected.append([(confidence, low), (confidence, high)])
    np.testing.assert_allclose(bars.get_segments(), expected)
    assert said in [text.get_text() for text in figure.legends[0].get_texts()]

    (figure,) = drawn("reliability", by_hand(curves=curves)).values()
    assert not figure.axes[0].collections
    assert said not in [text.get_text() for text in figure.legends[0].get_texts()]


def test_histograms_tell_that_their_scale_is_no_common_one(twelve: Results, drawn: Drawn) -> None:
    """The axis of the shares, on which half the height is a quarter, is named so."""
    (figure,) = drawn("entropy-histogram", twelve.on("digits")).values()
    assert {axes.get_yscale() for axes in figure.axes} == {"function"}
    assert "square-root scale" in figure.axes[0].get_ylabel()


def test_looks_are_fixed_and_distinct(twelve: Results) -> None:
    """The first positions look the same beside any others; twelve methods have twelve colours."""
    few, many = looks(replace(twelve, siblings=("mnf",))), looks(twelve)
    assert few == {"mnf": many["mnf"]}
    assert many["map"].color == "#000000"
    assert len({look.color for look in many.values()}) == 12
    assert len({look.marker for look in many.values()}) == 12
    assert many == looks(replace(twelve, siblings=METHODS))

    names = tuple(f"m{number}" for number in range(30))
    assert len(set(looks(replace(twelve, siblings=names)).values())) == 30
    taken = replace(twelve, siblings=("map", "theirs"), about=About({"map": 0, "theirs": 0}))
    assert looks(taken)["map"] != looks(taken)["theirs"]


def test_process_settings_are_left_alone(two: Results, drawn: Drawn) -> None:
    """Drawing neither changes the settings of the process nor heeds them."""
    with mpl.rc_context({"lines.linewidth": 17}):
        before = dict(mpl.rcParams)
        (figure,) = drawn("training", two.on("digits")).values()
        assert before == dict(mpl.rcParams)
    assert figure.axes[0].lines[0].get_linewidth() < 2


def test_label_tells_missing_and_unconverged_seeds(told: Results) -> None:
    """The legend does not hide that a line rests on fewer seeds."""
    analysis = analyse(told.on("digits"))
    labels = [label(analysis, *one) for one in (("map", 3), ("mnf", 2), ("mean-field", 3))]
    assert labels == ["map", "mnf (2/3 seeds)", "mean-field †"]


@pytest.mark.parametrize("values", [(0.1, 0.2), (0.3, 3000.0), (1e-5, 1.0), (0.5, 0.5)])
def test_logarithmic_axis_has_plain_numbers(values: tuple[float, float]) -> None:
    """A few ticks stand on the axis; a loss below 0, that of a density, has no logarithm."""
    axes = Figure().subplots()
    logarithmic(axes, values)
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert axes.get_yscale() == "log"
    assert 1 <= len(labels) <= 9
    assert all(float(text) > 0 for text in labels)

    axes = Figure().subplots()
    logarithmic(axes, [*values, -0.5])
    assert axes.get_yscale() == "linear"


def test_dollars_are_no_formula(
    make_results: Callable[..., Path], tmp_path: Path, drawn: Drawn
) -> None:
    """A name with two dollars is shown as it is, not parsed."""
    name = r"m[a=$\nonsense{$]"
    results = read(make_results(tmp_path / "s", (name,), unseen=(), attacks=()))
    (figure,) = drawn("training", results).values()
    assert figure.legends[0].get_texts()[0].get_text().replace("\n", "") == name
