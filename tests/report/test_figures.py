"""Figures are made without a warning, look the same everywhere and leave the process alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from bench_uq.report.figures import draw, kinds
from bench_uq.report.figures._layout import logarithmic
from bench_uq.report.figures._legend import label
from bench_uq.report.figures._style import COLUMN, FORMATS, PAGE, styled
from bench_uq.report.looks import looks
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read, select
from bench_uq.store.about import About

METHODS = (
    "map",
    "dropout",
    "ensemble",
    "mean-field",
    "mnf",
    "laplace",
    "sgld",
    "swag[rank=20]",
    "temperature",
)
KINDS = {kind.name: kind for kind in kinds()}
LONG = (
    "mean-field[prior=log-uniform]",
    "mnf[flows=4,hidden=50,members=5]",
    "vogn[damping=0.001,momentum=0.9,samples=8]",
)


@pytest.fixture(scope="module")
def two(make_results: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("two") / "two"
    shown = {"attacks": ("fgsm", "rotate"), "one_feature": ("cubic",)}
    return read(make_results(folder, METHODS[:2], range(2), datasets=("digits", "mnist"), **shown))


@pytest.fixture(scope="module")
def twelve(make_results: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("twelve") / "twelve"
    kinds = ("corruption", "corruption[kind=glass-blur]", "corruption[kind=impulse-noise]")
    shown = {
        "unseen": ("letters", "notmnist", "fashion"),
        "attacks": ("fgsm", "pgd[norm=l2]", "rotate", *kinds),
    }
    return read(
        make_results(
            folder, METHODS + LONG, datasets=("digits", "mnist"), one_feature=("cubic",), **shown
        )
    )


def figures_of(kind: str, results: Results) -> dict[str, Figure]:
    """Draw one kind of figures of the dataset that has it, or of all."""
    own = results
    if not KINDS[kind].across_datasets:
        own = results.on("cubic" if kind == "bands" and "cubic" in results.datasets else "digits")
    with styled():
        figures = KINDS[kind].module.draw(analyse(own), looks(results))
        for figure in figures.values():
            figure.draw_without_rendering()
    return figures


@pytest.fixture(scope="module", params=KINDS)
def drawn(
    request: pytest.FixtureRequest, two: Results, twelve: Results, told: Results
) -> Iterator[list[Figure]]:
    """Return the figures of one kind: of two and of twelve methods, and of a story of failures."""
    kind: str = request.param
    figures: list[Figure] = []
    for results in (two, twelve, told):
        made = figures_of(kind, results)
        assert made or (results is told and kind == "bands")
        figures += made.values()
    with styled():
        yield figures


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_seed_has_every_figure(kind: str, twelve: Results) -> None:
    """One seed, hence no range over seeds, is enough for each kind."""
    assert set(twelve.runs["seed"]) == {0}
    assert figures_of(kind, twelve)


@pytest.mark.parametrize("kind", KINDS)
def test_failed_runs_alone_have_no_figure(kind: str, hand_made: Callable[..., Path]) -> None:
    """Nothing is drawn of results without scores, curves and examples."""
    runs = [{"method": name, "seed": 0, "status": "failed", "converged": ""} for name in METHODS]
    assert figures_of(kind, read(hand_made(runs=runs))) == {}


def written(figure: Figure) -> list[Text]:
    """Return what is written in a figure, without the numbers that an axis holds ready beyond its ends."""
    beyond = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            outside = [tick for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]
            beyond |= {label for tick in outside for label in (tick.label1, tick.label2)}
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text not in beyond]
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


@pytest.fixture(scope="module")
def files(told: Results) -> dict[tuple[str, str], bytes]:
    """Return all figures of the story, by dataset and name."""
    return draw(analyse(told))


def test_every_figure_is_made(files: dict[tuple[str, str], bytes]) -> None:
    """Each kind is there in all forms and not empty."""
    for name in KINDS.keys() - {"bands"}:
        for suffix in FORMATS:
            across = KINDS[name].across_datasets
            pattern = f"{name}*.{suffix}" if across else f"digits-{name}*.{suffix}"
            found = [len(made) for (_, file), made in files.items() if fnmatch(file, pattern)]
            assert found
            assert min(found) > 5000


def test_names_tell_dataset_kind_and_condition(files: dict[tuple[str, str], bytes]) -> None:
    """Of a kind with several figures each is named by its condition; a figure of all datasets has none."""
    assert ("digits", "digits-levels-fgsm.svg") in files
    assert ("digits", "digits-rejection-fgsm.svg") in files
    assert ("digits", "digits-rotation.svg") in files
    assert ("digits", "digits-risk-coverage.pdf") in files
    assert {name for dataset, name in files if not dataset} == {
        f"ranks.{suffix}" for suffix in FORMATS
    }


def test_regression_has_only_its_training_and_cost(files: dict[tuple[str, str], bytes]) -> None:
    """What has no entropy, no accuracy and no levels has no figure of them."""
    names = {name for dataset, name in files if dataset == "boston"}
    assert names == {
        f"boston-{kind}.{suffix}" for kind in ("training", "cost") for suffix in FORMATS
    }


def test_pdf_is_vector_with_embedded_fonts_and_no_date(files: dict[tuple[str, str], bytes]) -> None:
    """TrueType fonts are in the file, pixels only where inputs are images, nor when or by what it was made."""
    for (_, name), content in files.items():
        if name.endswith(".pdf"):
            assert b"/FontFile2" in content
            shows_inputs = any(kind in name for kind in ("examples", "inputs", "rotation"))
            assert (b"/Subtype /Image" in content) == shows_inputs
            assert b"CreationDate" not in content
            assert b"Producer" not in content


def test_svg_shows_the_same_everywhere_and_has_no_date(files: dict[tuple[str, str], bytes]) -> None:
    """Text is drawn as shapes, whatever fonts there are, and nothing tells when or by what it was made."""
    for (_, name), content in files.items():
        if name.endswith(".svg"):
            assert b"<text" not in content
            assert b"dc:date" not in content
            assert b"dc:creator" not in content


def test_png_does_not_tell_what_made_it(files: dict[tuple[str, str], bytes]) -> None:
    """A new version of the library that draws does not change the files by its name."""
    for (_, name), content in files.items():
        assert not name.endswith(".png") or b"Software" not in content


def test_same_results_same_bytes(told: Results, files: dict[tuple[str, str], bytes]) -> None:
    """Two drawings do not differ, in any format."""
    assert files == draw(analyse(told))


def test_only_the_formats_asked_for(two: Results) -> None:
    """A report that shows one format does not pay for the others."""
    narrow = select(two, methods=["map"], datasets=["cubic"])
    assert {name[-4:] for _, name in draw(analyse(narrow), ["svg"])} == {".svg"}


def test_figures_have_the_width_of_a_column_or_page(drawn: list[Figure]) -> None:
    """Type keeps its size in print."""
    for figure in drawn:
        assert figure.get_figwidth() in (COLUMN, PAGE)
        assert figure.get_figheight() < 9.5


def test_text_is_large_enough_to_read(drawn: list[Figure]) -> None:
    """No text is smaller than six points."""
    for figure in drawn:
        assert min(float(text.get_fontsize()) for text in written(figure)) >= 6


def test_legend_stands_outside_the_panels(drawn: list[Figure]) -> None:
    """No panel, with its labels, meets the legend, and nothing leaves the sheet."""
    for figure in drawn:
        (legend,) = figure.legends
        edge, sheet = legend.get_window_extent(), figure.bbox
        assert sheet.x0 <= edge.x0 < edge.x1 <= sheet.x1
        assert sheet.y0 <= edge.y0
        for axes in figure.axes:
            box = axes.get_tightbbox()
            assert box is not None
            assert box.y0 >= edge.y1 - 1
            assert box.x0 >= -1
            assert box.x1 <= sheet.x1 + 1
            assert box.y1 <= sheet.y1 + 1


def test_panels_do_not_overlap(drawn: list[Figure]) -> None:
    """No panel with its title and labels lies on another."""
    for figure in drawn:
        boxes = [box.padded(-1) for axes in figure.axes if (box := axes.get_tightbbox())]
        assert [
            (a, b) for place, a in enumerate(boxes) for b in boxes[:place] if a.overlaps(b)
        ] == []


def test_no_text_lies_on_another(drawn: list[Figure]) -> None:
    """Names, numbers and titles keep apart, in panels as in legends."""
    for figure in drawn:
        boxes = [(text.get_text(), text.get_window_extent().padded(-1)) for text in written(figure)]
        pairs = [
            (a, b)
            for place, (a, one) in enumerate(boxes)
            for b, other in boxes[:place]
            if one.overlaps(other)
        ]
        assert pairs == []


def test_reliability_is_judged_against_a_diagonal_at_45_degrees(
    two: Results, twelve: Results
) -> None:
    """The panels of two and of twelve methods are square, and those of more as high as a page allows."""
    for results in (two, twelve):
        (figure,) = figures_of("reliability", results).values()
        for axes in figure.axes[::2]:
            box = axes.get_window_extent()
            assert box.width == pytest.approx(box.height, rel=0.02)


def test_reliability_of_many_methods_fits_a_page(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    """Sixteen methods have flatter panels."""
    methods = [f"m{number}" for number in range(16)]
    results = read(make_results(tmp_path / "s", methods, unseen=(), attacks=()))
    (figure,) = figures_of("reliability", results).values()
    assert 9 < figure.get_figheight() < 9.5


def test_panels_of_any_method_have_one_size(hand_made: Callable[..., Path]) -> None:
    """A method without a finished run and one whose bins are all well filled have panels like any other."""
    bins = {
        "share": (0.005, 0.5, 0.495),
        "accuracy": (0.0, 0.5, 0.9),
        "confidence": (0.3, 0.5, 0.8),
    }
    curves = [
        {
            "method": method,
            "seed": 0,
            "curve": f"reliability_{name}",
            "x": (0.3, 0.5, 0.8)[place],
            "y": values[place],
        }
        for method, places in {"map": (0, 1, 2), "mnf": (1, 2)}.items()
        for name, values in bins.items()
        for place in places
    ]
    results = read(
        hand_made(curves=curves, runs=[{"method": "sgld", "seed": 0, "status": "failed"}])
    )
    (figure,) = figures_of("reliability", results).values()
    uppers = [axes.get_position() for axes in figure.axes[::2]]
    assert [box.width for box in uppers] == pytest.approx([uppers[0].width] * 3)
    assert [box.height for box in uppers] == pytest.approx([uppers[0].height] * 3)
    assert uppers[0].width > 0.2
    assert uppers[0].height > 0.3


def test_histograms_tell_that_their_scale_is_no_common_one(twelve: Results) -> None:
    """The axis of the shares, on which half the height is a quarter, is named so."""
    (figure,) = figures_of("entropy-histogram", twelve).values()
    for place, axes in enumerate(figure.axes):
        assert axes.get_yscale() == "function"
        assert axes.get_ylabel() == ("" if place % 4 else "share of examples\n(square-root scale)")


def test_looks_are_fixed_and_distinct(twelve: Results) -> None:
    """The first positions look the same beside any others; twelve methods have twelve colours."""
    few, many = looks(replace(twelve, siblings=("mnf",))), looks(twelve)
    assert few == {"mnf": many["mnf"]}
    assert many["map"].color == "#000000"
    assert len({look.color for look in many.values()}) == 12
    assert len({look.marker for look in many.values()}) == 12
    assert many == looks(replace(twelve, siblings=(*METHODS, *LONG)))

    names = tuple(f"m{number}" for number in range(30))
    assert len(set(looks(replace(twelve, siblings=names)).values())) == 30
    taken = replace(twelve, siblings=("map", "theirs"), about=About({"map": 0, "theirs": 0}))
    assert looks(taken)["map"] != looks(taken)["theirs"]


def test_process_settings_are_left_alone(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """Drawing neither changes the settings of the process nor heeds them."""
    results = read(make_results(tmp_path / "s", ("map",)))
    with mpl.rc_context({"lines.linewidth": 17}):
        before = dict(mpl.rcParams)
        (figure,) = figures_of("training", results).values()
        assert before == dict(mpl.rcParams)
    assert figure.axes[0].lines[0].get_linewidth() < 2


def test_label_tells_missing_and_unconverged_seeds(told: Results) -> None:
    """The legend does not hide that a line rests on fewer seeds."""
    results = told.on("digits")
    assert [
        label(analyse(results), name, seeds)
        for name, seeds in (("map", 3), ("mnf", 2), ("mean-field", 3))
    ] == [
        "map",
        "mnf (2/3 seeds)",
        "mean-field †",
    ]


@pytest.mark.parametrize("values", [(0.1, 0.2), (0.3, 3000.0), (1e-5, 1.0), (0.5, 0.5)])
def test_logarithmic_axis_has_plain_numbers(values: tuple[float, float]) -> None:
    """A few ticks stand on the axis, written as numbers."""
    axes = Figure().subplots()
    logarithmic(axes, values)
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    assert axes.get_yscale() == "log"
    assert 1 <= len(labels) <= 9
    assert all(float(text) > 0 for text in labels)


def test_negative_losses_stay_linear() -> None:
    """A density may exceed one; its loss has no logarithm."""
    axes = Figure().subplots()
    logarithmic(axes, [1.0, -0.5])
    assert axes.get_yscale() == "linear"


def test_dollars_are_no_formula(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """A name with two dollars is shown as it is, not parsed."""
    name = r"m[a=$\nonsense{$]"
    results = read(make_results(tmp_path / "s", (name,), unseen=(), attacks=()))
    (figure,) = figures_of("training", results).values()
    assert figure.legends[0].get_texts()[0].get_text().replace("\n", "") == name
