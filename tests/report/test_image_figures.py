"""Figures of images show the stored inputs, and what each method said of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import chain, combinations, pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox

from bench_uq.report.figures._images import spread
from bench_uq.report.looks import looks
from bench_uq.score.results import Results, read, select
from bench_uq.store.examples import Example

Build = Callable[..., Path]
Drawn = Callable[[str, Results], dict[str, Figure]]
Of = Callable[..., Results]
IMAGES = np.arange(3 * 16, dtype=np.uint8).reshape(3, 1, 4, 4)
TARGETS = np.array([0, 1, 2])
#: What map and mnf say of the three images; both take the last for the second class.
SURE = {
    "map": ((0.9, 0.1, 0), (0, 1, 0), (0, 0.6, 0.4)),
    "mnf": ((0.3, 0.5, 0.2), (0.2, 0.7, 0.1), (0.2, 0.6, 0.2)),
}


@pytest.fixture
def of(make_results: Build, tmp_path: Path) -> Of:
    """Return a function that gives results with some examples; of three methods one failed."""
    failed = {("sgld", 0): {"status": "failed", "converged": ""}}
    made = make_results(
        tmp_path / "s", ("map", "mnf", "sgld"), attacks=("fgsm", "rotate"), runs=failed
    )
    results = read(made).on("digits")
    return lambda *examples: replace(results, examples=examples)


def example(
    method: str, condition: str = "clean", level: float | None = None, **fields: Any
) -> Example:
    """Return what one run was shown and said."""
    probs = np.array(SURE.get(method, SURE["map"]), np.float32)
    return replace(Example("digits", method, 0, condition, level, IMAGES, probs, TARGETS), **fields)


def said(axes: Axes) -> list[list[str]]:
    """Return what is written in a panel of three images, row by row."""
    ordered = sorted(axes.texts, key=lambda text: text.get_position()[::-1])
    texts = [text.get_text() for text in ordered]
    return [texts[first : first + 3] for first in range(0, len(texts), 3)]


def shown(axes: Axes) -> list[Any]:
    """Return the images of a panel."""
    return [image.get_array() for image in axes.images]


def names(figure: Figure) -> list[str]:
    """Return the names of rows, panel by panel, as one line each."""
    labels = []
    for axes in figure.axes:
        labels += [label.get_text().replace("\n", "") for label in axes.get_yticklabels()]
    return labels


def legend(figure: Figure) -> list[str]:
    """Return what stands in the legend."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_examples_show_classes_confidences_and_errors(of: Of, drawn: Drawn) -> None:
    """A cell holds the class and is as dark as it is sure; errors are framed; no word is a dash."""
    (figure,) = drawn("examples", of(example("map"), example("mnf"))).values()
    (axes,) = figure.axes
    assert names(figure) == ["true class", "map", "mnf", "sgld"]
    assert said(axes) == [["0", "1", "2"], ["0", "1", "1"], ["1", "1", "1"], ["–", "–", "–"]]
    np.testing.assert_array_equal(shown(axes), IMAGES[:, 0])

    (mesh,) = (one for one in axes.collections if isinstance(one, QuadMesh))
    shades: np.ndarray = np.ma.filled(np.ma.asarray(mesh.get_array()), np.nan).reshape(3, 3)
    np.testing.assert_allclose(shades, [[0.9, 1.0, 0.6], [0.5, 0.7, 0.6], [np.nan] * 3])
    frames = [patch.get_bbox() for patch in axes.patches]  # type: ignore[attr-defined]
    framed = []
    for text in axes.texts:
        if any(one.contains(*text.get_position()) for one in frames):
            framed.append(text.get_text())
    assert framed == ["1", "1", "1"]
    assert len(frames) == 3


def test_coloured_images_have_their_channels_last(of: Of, drawn: Drawn) -> None:
    coloured = np.arange(3 * 3 * 4 * 2, dtype=np.uint8).reshape(3, 3, 4, 2)
    (figure,) = drawn("examples", of(example("map", inputs=coloured))).values()
    (axes,) = figure.axes
    np.testing.assert_array_equal(shown(axes), coloured.transpose(0, 2, 3, 1))
    left, right, bottom, top = axes.images[0].get_extent()
    assert (bottom - top) / (right - left) == pytest.approx(2)


def test_attacked_inputs_are_those_of_the_first_method(of: Of, drawn: Drawn) -> None:
    """The strongest level is shown as it was for the first method, and the legend says so."""
    places = product(("map", "mnf"), (0.1, 0.3))
    levels = [example(method, "fgsm", level) for method, level in places]
    own = [replace(one, inputs=IMAGES + 1) for one in levels[2:]]
    (figure,) = drawn("examples", of(example("mnf"), *own, *levels[:2])).values()
    clean, fgsm = figure.axes
    assert (clean.get_title(), fgsm.get_title()) == ("clean", "fgsm\nε = 0.3")
    np.testing.assert_array_equal(shown(fgsm), IMAGES[:, 0])
    assert said(fgsm)[2] == ["1", "1", "1"]
    assert "attacked inputs: those of map\n(each method saw its own)" in legend(figure)
    (figure,) = drawn("examples", of(*levels)).values()
    assert not any("attacked" in text for text in legend(figure))


def test_other_examples_are_not_passed_off_as_the_same(of: Of, drawn: Drawn) -> None:
    """Who was shown other clean inputs, or others with other classes, has no row of them."""
    for other in (example("mnf", inputs=IMAGES + 1), example("mnf", targets=TARGETS + 1)):
        (figure,) = drawn("examples", of(example("map"), other)).values()
        assert said(figure.axes[0])[2] == ["–", "–", "–"]


def test_unseen_inputs_have_no_right_class(of: Of, drawn: Drawn) -> None:
    """Nothing is framed there, and no frame explained."""
    (figure,) = drawn("examples", of(example("map", "letters", targets=None))).values()
    assert said(figure.axes[0])[0] == ["–", "–", "–"]
    assert not figure.axes[0].patches
    assert "wrong class" not in legend(figure)


def test_examples_of_narrowed_results(make_results: Build, tmp_path: Path, drawn: Drawn) -> None:
    """A report of one method shows what this one says of its own inputs."""
    results = select(read(make_results(tmp_path / "s")), methods=["dropout"]).on("digits")
    (figure,) = drawn("examples", results).values()
    assert names(figure)[:2] == ["true class", "dropout"]


def test_kinds_do_not_take_the_room_of_others(of: Of, drawn: Drawn) -> None:
    """Of many kinds of one thing only those are drawn that leave room for the other conditions."""
    others = (("clean", None), ("letters", None), ("rotate", 90.0), ("fgsm", 0.3))
    kinds = [(f"corruption[kind=k{place}]", 5.0) for place in range(15)]
    (figure,) = drawn("examples", of(*(example("map", *one) for one in (*kinds, *others)))).values()
    titles = [axes.get_title().partition("\n")[0].partition("[")[0] for axes in figure.axes]
    assert titles[:2] == ["clean", "letters"]
    assert sorted(titles[2:]) == ["corruption", "corruption", "fgsm", "rotate"]
    assert "(13 more not shown)" in legend(figure)


def test_inputs_have_a_row_a_condition_and_a_column_a_level(
    make_results: Build, tmp_path: Path, drawn: Drawn
) -> None:
    """The clean image stands first, then what each condition makes of it; whose it is, is said."""
    results = read(make_results(tmp_path / "s", attacks=("fgsm", "translate"))).on("digits")
    (figure,) = drawn("inputs", results).values()
    (axes,) = figure.axes
    assert names(figure) == ["clean", "fgsm", "translate"]
    texts = (
        "0",
        "0.05",
        "0.1",
        "0.2",
        "0.3",
        "0.5",
        "ε",
        "0",
        "0.05",
        "0.1",
        "0.15",
        "0.2",
        "shift",
    )
    assert [text.get_text() for text in axes.texts] == list(texts)

    wanted = [one for one in results.examples if one.method == "map" and one.condition != "letters"]
    wanted.sort(key=lambda one: (one.condition, one.level or 0))
    np.testing.assert_array_equal(shown(axes), [one.inputs[0, 0] for one in wanted])

    words = "inputs that differ between methods: those of map"
    assert words not in legend(figure)
    own = [replace(one, inputs=one.inputs + (one.method != "map")) for one in results.examples]
    (figure,) = drawn("inputs", replace(results, examples=tuple(own))).values()
    assert words in legend(figure)
    clean = read(make_results(tmp_path / "plain", attacks=())).on("digits")
    assert drawn("inputs", clean) == {}


@pytest.mark.parametrize(("kinds", "rows", "left"), [(15, 19, ""), (40, 28, "(16 more not shown)")])
def test_inputs_of_many_conditions_fit_a_page(
    by_hand: Of, drawn: Drawn, kinds: int, rows: int, left: str
) -> None:
    """Images are large, nothing lies on one, and kinds go before any other condition does."""
    others = ["fgsm", "pgd[norm=l2]", "rotate"]
    names_of = [*others, *(f"corruption[kind=k{place:02}]" for place in range(kinds))]
    places = list(product(names_of, (0.1, 0.2, 0.3, 0.4, 0.5)))
    results = by_hand({("map", "accuracy", *place): 0.5 for place in places})
    examples = (example("map"), *(example("map", *place) for place in places))

    (figure,) = drawn("inputs", replace(results, examples=examples)).values()
    assert names(figure)[:4] == ["clean", *others]
    assert len(names(figure)) == rows
    assert figure.get_figheight() < 9.5
    assert legend(figure)[-1] == left or not left

    for axes in figure.axes:
        boxes = [one.get_window_extent().padded(-0.5) for one in (*axes.images, *axes.texts)]
        assert not [1 for one, other in combinations(boxes, 2) if one.overlaps(other)]
        widths = [image.get_window_extent().width / figure.dpi for image in axes.images]
        assert min(widths) > 0.25


@pytest.mark.parametrize(
    ("count", "most", "places"),
    [
        (13, 11, [0, 2, 4, 6, 8, 10, 12]),  # at equal steps
        (6, 5, [0, 1, 2, 4, 5]),  # no steps are equal
        (12, 3, [0, 6, 11]),
        (5, 5, [0, 1, 2, 3, 4]),
        (1, 3, [0]),
        (0, 3, []),
    ],
)
def test_levels_are_spread_with_both_ends(count: int, most: int, places: list[int]) -> None:
    """At equal steps where that leaves most of them, else as nearly as can be."""
    assert spread([float(place) for place in range(count)], most) == places


ANGLES = (0.0, 45.0, 90.0)
#: By angle: the second image changes most for its ink, then the third; the first never does.
TURNED = np.zeros((3, 3, 1, 4, 4), np.uint8)
TURNED[:, 0] = 200
TURNED[0, 1, 0, 0], TURNED[1:, 1, 0, :, 0] = 200, 200
TURNED[0, 2, 0, 0], TURNED[2, 2, 0, :, 0] = 200, 200
TURNED[1, 2, 0, 0] = 200
#: Probabilities of the three classes by angle: of the second image.
SAID = np.array([[0.1, 0.9, 0.0], [0.5, 0.4, 0.1], [1.0, 0.0, 0.0]])


def turned(method: str, **fields: Any) -> list[Example]:
    """Return what a method was shown at all angles, and said of it."""
    found = []
    for place, angle in enumerate(ANGLES):
        probs = np.stack([[1, 0, 0], SAID[place], [1 / 3] * 3]).astype(np.float32)
        shown_at = {"inputs": TURNED[place], "probs": probs, **fields}
        found.append(example(method, "rotate", angle, **shown_at))
    return found


def panels(figure: Figure) -> np.ndarray:
    """Return the panels of rotations by row and digit."""
    return np.array(figure.axes).reshape(-1, 2)


def images(axes: Axes) -> list[Any]:
    """Return the images of a panel of rotations."""
    return [one for one in axes.artists if isinstance(one, AnnotationBbox)]


def test_rotations_show_probabilities_and_entropies(of: Of, drawn: Drawn) -> None:
    """Of the digits that turning changes most; other classes that matter are numbered."""
    results = of(*turned("map"), *turned("mnf"))
    grid = panels(drawn("rotation", results)[""])
    assert [axes.get_title() for axes in grid[0]] == ["class 1", "class 2"]
    assert [one.xy[0] for one in images(grid[0, 0])] == list(ANGLES)
    pixels = [one.offsetbox.get_data() for one in images(grid[0, 0])]
    np.testing.assert_array_equal(pixels, TURNED[:, 1, 0])

    axes = grid[2, 0]  # mnf on the second image
    other, true = axes.lines
    np.testing.assert_allclose(true.get_ydata(), SAID[:, 1], rtol=1e-6)
    np.testing.assert_allclose(other.get_ydata(), SAID[:, 0], rtol=1e-6)  # class 2 stays below 0.2
    assert true.get_color() == looks(results)["mnf"].color
    assert [text.get_text() for text in axes.texts] == ["0"]
    entropy = -np.sum(SAID * np.log(np.where(SAID > 0, SAID, 1)), axis=1) / np.log(3)
    for panel, highest in ((axes, entropy.max()), (grid[1, 1], 1)):
        (area,) = (one for one in panel.collections if isinstance(one, PolyCollection))
        assert np.asarray(area.get_paths()[0].vertices)[:, 1].max() == pytest.approx(highest)


def test_rotations_name_methods_without_images(of: Of, drawn: Drawn) -> None:
    """A method of which there are no images, or others, has its row and says so."""
    figure = drawn("rotation", of(*turned("map")))[""]
    grid = panels(figure)
    assert [axes.get_ylabel() for axes in grid[1:3, 0]] == ["map", "mnf"]
    assert [text.get_text() for text in grid[2, 0].texts] == ["no images stored"]
    assert "runs of seed 0" in legend(figure)
    figure = drawn("rotation", of(*turned("map"), *turned("mnf", inputs=TURNED[0] + 1)))[""]
    assert [text.get_text() for text in panels(figure)[2, 0].texts] == ["shown other images"]


def test_a_rotation_with_options_has_its_own_figure(of: Of, drawn: Drawn) -> None:
    """Each condition called rotate has one; no other condition, and no single angle, has any."""
    named = [replace(one, condition="rotate[fill=1]") for one in turned("map")]
    assert list(drawn("rotation", of(*turned("map"), *named))) == ["", "rotate[fill=1]"]
    other = [replace(one, condition="fgsm") for one in turned("map")]
    assert drawn("rotation", of(*other)) == drawn("rotation", of(turned("map")[0])) == {}


@pytest.mark.parametrize("count", [3, 7, 13, 37])
def test_images_of_rotations_do_not_lie_on_each_other(of: Of, drawn: Drawn, count: int) -> None:
    """Of many angles only as many images are drawn as find room."""
    three = turned("map")
    angles = np.linspace(0, 180, count)
    many = [replace(three[min(place, 2)], level=float(one)) for place, one in enumerate(angles)]
    figure = drawn("rotation", of(*many))[""]
    for axes in panels(figure)[0]:
        boxes = [one.get_window_extent() for one in images(axes)]
        assert len(boxes) >= min(count, 7)
        assert all(one.x1 <= other.x0 for one, other in pairwise(boxes))
        assert figure.bbox.x0 <= boxes[0].x0 < boxes[-1].x1 <= figure.bbox.x1


def test_rotations_of_as_many_methods_as_a_page_holds(by_hand: Of, drawn: Drawn) -> None:
    """Sixteen have a row, and the legend tells how many have not."""
    methods = [f"m{place}" for place in range(18)]
    places = product(methods, ANGLES)
    scores = {(name, "accuracy", "rotate", angle): 0.5 for name, angle in places}
    examples = tuple(chain.from_iterable(map(turned, methods)))
    figure = drawn("rotation", replace(by_hand(scores), examples=examples))[""]
    assert len(panels(figure)) == 1 + 16
    assert "(2 more methods not shown)" in legend(figure)
    assert figure.get_figheight() < 9.5
