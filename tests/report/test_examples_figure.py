"""The figure of examples shows the stored inputs and, beneath each, the class that every method said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench_uq.report.figures._style import styled
from bench_uq.report.figures.examples import draw
from bench_uq.report.looks import looks
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read, select
from bench_uq.store.derived import Example

METHODS = ("map", "mnf", "sgld")
IMAGES = np.arange(3 * 16, dtype=np.uint8).reshape(3, 1, 4, 4)
TARGETS = np.array([0, 1, 2])
#: What map and mnf say of the three images; both take the last for the second class.
SURE = {
    "map": ((0.9, 0.1, 0), (0, 1, 0), (0, 0.6, 0.4)),
    "mnf": ((0.3, 0.5, 0.2), (0.2, 0.7, 0.1), (0.2, 0.6, 0.2)),
}


def example(
    method: str, condition: str = "clean", level: float | None = None, **fields: object
) -> Example:
    """Return what one run was shown and said."""
    probs = np.array(SURE[method], np.float32)
    return replace(Example("digits", method, 0, condition, level, IMAGES, probs, TARGETS), **fields)  # type: ignore[arg-type]


@pytest.fixture
def of(make_results: Callable[..., Path], tmp_path: Path) -> Callable[..., Results]:
    """Return a function that gives results with some examples; of three methods one did not finish."""
    failed = {("sgld", 0): {"status": "failed", "converged": ""}}
    results = read(make_results(tmp_path / "s", METHODS, runs=failed)).on("digits")
    return lambda *examples: replace(results, examples=examples)


def drawn(results: Results) -> Figure:
    """Return the figure of some results."""
    with styled():
        (figure,) = draw(analyse(results), looks(results)).values()
        figure.draw_without_rendering()
    return figure


def rows(axes: Axes, columns: int = 3) -> list[list[str]]:
    """Return what is written in a panel, row by row."""
    ordered = sorted(axes.texts, key=lambda text: (text.get_position()[1], text.get_position()[0]))
    said = [text.get_text() for text in ordered]
    return [said[first : first + columns] for first in range(0, len(said), columns)]


def legend(figure: Figure) -> list[str]:
    """Return what stands in the legend."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_classes_that_the_methods_say(of: Callable[..., Results]) -> None:
    """The right classes stand first, then a row a method; who said nothing has dashes."""
    (axes,) = drawn(of(example("map"), example("mnf"))).axes
    assert rows(axes) == [["0", "1", "2"], ["0", "1", "1"], ["1", "1", "1"], ["–", "–", "–"]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["true class", *METHODS]


def test_shades_are_confidences_and_frames_errors(of: Callable[..., Results]) -> None:
    """A cell is as dark as its class is sure, and framed where it is not the right one."""
    (axes,) = drawn(of(example("map"), example("mnf"))).axes
    (mesh,) = (one for one in axes.collections if isinstance(one, QuadMesh))
    shades: np.ndarray = np.ma.filled(np.ma.asarray(mesh.get_array()), np.nan).reshape(3, 3)
    np.testing.assert_allclose(shades, [[0.9, 1.0, 0.6], [0.5, 0.7, 0.6], [np.nan] * 3])
    frames = [patch.get_bbox() for patch in axes.patches if isinstance(patch, Rectangle)]
    framed = {
        text.get_position()
        for text in axes.texts
        for box in frames
        if box.contains(*text.get_position())
    }
    wrong = [text.get_text() for text in axes.texts if text.get_position() in framed]
    assert (len(frames), wrong) == (3, ["1", "1", "1"])


def test_images_are_those_stored(of: Callable[..., Results]) -> None:
    """Grey images are shown as they are, coloured ones with their channels last."""
    (axes,) = drawn(of(example("map"))).axes
    np.testing.assert_array_equal([image.get_array() for image in axes.images], IMAGES[:, 0])
    coloured = np.arange(3 * 3 * 4 * 2, dtype=np.uint8).reshape(3, 3, 4, 2)
    (axes,) = drawn(of(example("map", inputs=coloured))).axes
    np.testing.assert_array_equal(
        [image.get_array() for image in axes.images], coloured.transpose(0, 2, 3, 1)
    )
    left, right, bottom, top = axes.images[0].get_extent()
    assert (bottom - top) / (right - left) == pytest.approx(2)


def test_attacked_inputs_are_those_of_the_first_method(of: Callable[..., Results]) -> None:
    """The strongest level is shown as it was for the first method, and the legend says so."""
    levels = [example(method, "fgsm", level) for method in ("map", "mnf") for level in (0.1, 0.3)]
    weak, strong, *others = levels
    own = [replace(one, inputs=IMAGES + 1) for one in others]
    clean, fgsm = (figure := drawn(of(example("mnf"), *own, weak, strong))).axes
    assert (clean.get_title(), fgsm.get_title()) == ("clean", "fgsm\nε = 0.3")
    np.testing.assert_array_equal([image.get_array() for image in fgsm.images], IMAGES[:, 0])
    assert rows(fgsm)[2] == ["1", "1", "1"]
    assert "attacked inputs: those of map\n(each method saw its own)" in legend(figure)
    assert not any("attacked" in text for text in legend(drawn(of(*levels))))


def test_other_examples_are_not_passed_off_as_the_same(of: Callable[..., Results]) -> None:
    """A method that was shown other clean inputs, or others with other classes, has no row of them."""
    for other in (example("mnf", inputs=IMAGES + 1), example("mnf", targets=TARGETS + 1)):
        (axes,) = drawn(of(example("map"), other)).axes
        assert rows(axes)[2] == ["–", "–", "–"]


def test_unseen_inputs_have_no_right_class(of: Callable[..., Results]) -> None:
    """Nothing is framed there, and no frame explained."""
    (axes,) = (figure := drawn(of(example("map", "letters", targets=None)))).axes
    assert rows(axes)[0] == ["–", "–", "–"]
    assert not axes.patches
    assert "wrong class" not in legend(figure)


def test_only_images(of: Callable[..., Results]) -> None:
    """Features have no figure, nor have results without examples."""
    for results in (of(example("map", inputs=np.zeros((3, 5)))), of()):
        assert draw(analyse(results), looks(results)) == {}


def test_narrowed_results(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """A report of one method shows what this one says of its own inputs."""
    results = select(read(make_results(tmp_path / "s")), methods=["dropout"])
    axes = drawn(results.on("digits")).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["true class", "dropout"]


def test_kinds_do_not_take_the_room_of_others(of: Callable[..., Results]) -> None:
    """Of many kinds of one thing only those are drawn that leave room for one of each other condition."""
    kinds = [example("map", f"corruption[kind=k{place}]", 5.0) for place in range(15)]
    others = [
        example("map"),
        example("map", "letters"),
        example("map", "rotate", 90.0),
        example("map", "fgsm", 0.3),
    ]
    figure = drawn(of(*kinds, *others))
    titles = [axes.get_title().partition("\n")[0] for axes in figure.axes]
    assert titles[:2] == ["clean", "letters"]
    assert sorted(title.partition("[")[0] for title in titles[2:]) == [
        "corruption",
        "corruption",
        "fgsm",
        "rotate",
    ]
    assert "(13 more not shown)" in legend(figure)
