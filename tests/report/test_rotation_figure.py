"""The figure of rotations shows stored images by angle, and of each method what it says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox

from bench_uq.report.figures._style import styled
from bench_uq.report.figures.rotation import draw
from bench_uq.report.looks import looks
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read
from bench_uq.store.derived import Example

ANGLES = (0.0, 45.0, 90.0)
METHODS = ("map", "mnf")
#: The second image changes most for the ink it has, the third, of another class, next; the first never does.
IMAGES = np.zeros((3, 3, 1, 4, 4), np.uint8)  # (angles, N, 1, height, width)
IMAGES[:, 0] = 200
IMAGES[0, 1, 0, 0], IMAGES[1:, 1, 0, :, 0] = 200, 200
IMAGES[0, 2, 0, 0], IMAGES[2, 2, 0, :, 0] = 200, 200
IMAGES[1, 2, 0, 0] = 200
TARGETS = np.array([0, 1, 2])
#: Probabilities of the three classes by angle: of the second image.
SAID = np.array([[0.1, 0.9, 0.0], [0.5, 0.4, 0.1], [1.0, 0.0, 0.0]])


def example(method: str, place: int, **fields: Any) -> Example:
    """Return what one run was shown at one angle, and said of it."""
    probs = np.stack([[1, 0, 0], SAID[place], [1 / 3] * 3]).astype(np.float32)
    one = Example("digits", method, 0, "rotate", ANGLES[place], IMAGES[place], probs, TARGETS)
    return replace(one, **fields)


@pytest.fixture
def of(make_results: Callable[..., Path], tmp_path: Path) -> Callable[..., Results]:
    """Return a function that gives results of two methods with some examples."""
    results = read(make_results(tmp_path / "s", METHODS, attacks=("rotate",))).on("digits")
    return lambda *examples: replace(results, examples=examples)


def drawn(results: Results) -> dict[str, Figure]:
    """Return the figures of some results."""
    with styled():
        figures = draw(analyse(results), looks(results))
        for figure in figures.values():
            figure.draw_without_rendering()
    return figures


def all_of(method: str, **fields: Any) -> list[Example]:
    """Return what a method was shown at all angles."""
    return [example(method, place, **fields) for place in range(3)]


def panels(figure: Figure) -> np.ndarray:
    """Return the panels by row and digit."""
    return np.array(figure.axes).reshape(-1, 2)


def images(axes: Axes) -> list[AnnotationBbox]:
    """Return the images of a panel."""
    return [one for one in axes.artists if isinstance(one, AnnotationBbox)]


def test_digits_are_those_that_turning_changes_most(of: Callable[..., Results]) -> None:
    """They are chosen by their pixels, of different classes, whatever is said of them."""
    grid = panels(drawn(of(*all_of("map"), *all_of("mnf")))[""])
    assert [axes.get_title() for axes in grid[0]] == ["class 1", "class 2"]
    assert [one.xy[0] for one in images(grid[0, 0])] == list(ANGLES)
    for place, one in enumerate(images(grid[0, 0])):
        box: Any = one.offsetbox
        np.testing.assert_array_equal(box.get_data(), IMAGES[place, 1, 0])


def test_lines_are_probabilities_and_the_area_is_the_entropy(of: Callable[..., Results]) -> None:
    """The true class has a line of the method's colour; others that matter are numbered; ln C is an entropy of 1."""
    results = of(*all_of("map"), *all_of("mnf"))
    grid = panels(drawn(results)[""])
    axes = grid[2, 0]  # mnf on the second image
    other, true = axes.lines
    np.testing.assert_allclose(true.get_ydata(), SAID[:, 1], rtol=1e-6)
    assert true.get_color() == looks(results)["mnf"].color
    np.testing.assert_allclose(
        other.get_ydata(), SAID[:, 0], rtol=1e-6
    )  # class 2 never reaches 0.2
    assert [text.get_text() for text in axes.texts] == ["0"]
    (area,) = (one for one in axes.collections if isinstance(one, PolyCollection))
    entropy = -np.sum(SAID * np.log(np.where(SAID > 0, SAID, 1)), axis=1) / np.log(3)
    assert np.asarray(area.get_paths()[0].vertices)[:, 1].max() == pytest.approx(entropy.max())
    (flat,) = (one for one in grid[1, 1].collections if isinstance(one, PolyCollection))
    assert np.asarray(flat.get_paths()[0].vertices)[:, 1].max() == pytest.approx(1)


def test_rows_are_named_by_methods(of: Callable[..., Results]) -> None:
    """A method of which there are no images, or others, has its row and says so."""
    figure = drawn(of(*all_of("map")))[""]
    grid = panels(figure)
    assert [axes.get_ylabel() for axes in grid[1:, 0]] == list(METHODS)
    assert [text.get_text() for text in grid[2, 0].texts] == ["no images stored"]
    other = drawn(of(*all_of("map"), *all_of("mnf", inputs=IMAGES[0] + 1)))[""]
    assert [text.get_text() for text in panels(other)[2, 0].texts] == ["shown other images"]
    assert "runs of seed 0" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_rotation_with_options_has_its_own_figure(of: Callable[..., Results]) -> None:
    """Each condition called rotate has one, of its name; no other condition, and no single angle, has any."""
    named = [replace(one, condition="rotate[fill=1]") for one in all_of("map")]
    assert list(drawn(of(*all_of("map"), *named))) == ["", "rotate[fill=1]"]
    assert drawn(of(*(replace(one, condition="fgsm") for one in all_of("map")))) == {}
    assert drawn(of(example("map", 0))) == {}
    assert drawn(of(*all_of("map", inputs=np.zeros((3, 5))))) == {}


@pytest.mark.parametrize("count", [3, 7, 13, 37])
def test_images_do_not_lie_on_each_other(of: Callable[..., Results], count: int) -> None:
    """Of many angles only as many images are drawn as find room."""
    angles = np.linspace(0, 180, count).tolist()
    shown = [example("map", min(place, 2), level=angle) for place, angle in enumerate(angles)]
    figure = drawn(of(*shown))[""]
    for axes in panels(figure)[0]:
        boxes = [one.get_window_extent() for one in images(axes)]
        assert len(boxes) >= min(count, 7)
        assert all(one.x1 <= other.x0 for one, other in pairwise(boxes))
        assert figure.bbox.x0 <= boxes[0].x0
        assert boxes[-1].x1 <= figure.bbox.x1


def test_as_many_methods_as_a_page_holds(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """Sixteen have a row, and the legend tells how many have not."""
    results = read(
        make_results(tmp_path / "s", [f"m{place}" for place in range(18)], attacks=("rotate",))
    ).on("digits")
    figure = drawn(results)[""]
    assert len(panels(figure)) == 1 + 16
    assert "(2 more methods not shown)" in [
        text.get_text() for text in figure.legends[0].get_texts()
    ]
    assert figure.get_figheight() < 9.5
