"""The figure of inputs shows what attacks and shifts make of one image, a row a condition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from bench_uq.report.figures._images import spread
from bench_uq.report.figures._style import styled
from bench_uq.report.figures.inputs import draw
from bench_uq.report.looks import looks
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read

KINDS = tuple(f"corruption[kind=k{place}]" for place in range(15))


def drawn(results: Results) -> Figure:
    """Return the figure of some results."""
    with styled():
        (figure,) = draw(analyse(results), looks(results)).values()
        figure.draw_without_rendering()
    return figure


def made(make_results: Callable[..., Path], folder: Path, *attacks: str) -> Results:
    """Return results of some attacks and shifts."""
    return read(make_results(folder / "s", attacks=attacks)).on("digits")


def rows(figure: Figure) -> list[str]:
    """Return the names of rows, column by column, as one line each."""
    return [
        label.get_text().replace("\n", "")
        for axes in figure.axes
        for label in axes.get_yticklabels()
    ]


def test_rows_are_conditions_and_columns_levels(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    """The clean image stands first, then what each condition makes of it; unseen data have none."""
    figure = drawn(made(make_results, tmp_path, "fgsm", "translate"))
    assert rows(figure) == ["clean", "fgsm", "translate"]
    (axes,) = figure.axes
    assert len(axes.images) == 1 + 6 + 5
    texts = [text.get_text() for text in axes.texts]
    assert texts == [
        *("0", "0.05", "0.1", "0.2", "0.3", "0.5", "ε"),
        *("0", "0.05", "0.1", "0.15", "0.2", "shift"),
    ]


def test_images_are_the_first_stored(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """Each row holds the first image of its condition, level by level."""
    results = made(make_results, tmp_path, "fgsm")
    (axes,) = drawn(results).axes
    wanted = [
        one
        for one in results.examples
        if one.method == "map" and one.condition in ("clean", "fgsm")
    ]
    wanted.sort(key=lambda one: -1 if one.level is None else one.level)
    for image, one in zip(axes.images, wanted, strict=True):
        np.testing.assert_array_equal(image.get_array(), one.inputs[0, 0])


def test_fifteen_corruptions_find_room(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """All kinds and severities stand on one page, each image large enough, levels once above rows that share them."""
    figure = drawn(made(make_results, tmp_path, "fgsm", "pgd[norm=l2]", "rotate", *KINDS))
    assert rows(figure) == ["clean", "fgsm", "pgd[norm=l2]", "rotate", *sorted(KINDS)]
    assert len(figure.axes) == 2
    assert figure.get_figheight() < 9
    assert all(
        image.get_window_extent().width / figure.dpi > 0.25
        for axes in figure.axes
        for image in axes.images
    )
    assert (
        sum(text.get_text() == "severity" for axes in figure.axes for text in axes.texts) == 2
    )  # once a column


def test_images_do_not_overlap(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """Nor does what is written lie on one."""
    figure = drawn(made(make_results, tmp_path, "fgsm", "rotate", *KINDS[:6]))
    for axes in figure.axes:
        boxes = [image.get_window_extent().padded(-0.5) for image in axes.images]
        boxes += [text.get_window_extent().padded(-0.5) for text in axes.texts]
        assert not [
            1 for place, one in enumerate(boxes) for other in boxes[:place] if one.overlaps(other)
        ]


def test_more_conditions_than_a_page_holds(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    """One of each family stays, and the legend tells how many kinds are left out."""
    kinds = [f"corruption[kind=k{place:02}]" for place in range(40)]
    figure = drawn(made(make_results, tmp_path, *kinds, "translate"))
    assert len(rows(figure)) == 28
    assert rows(figure)[:2] == ["clean", "translate"]
    assert figure.legends[0].get_texts()[-1].get_text() == "(14 more not shown)"
    assert figure.get_figheight() < 9.5


def test_whose_inputs_they_are(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """Where each method was attacked for itself the legend says whose images these are."""
    results = made(make_results, tmp_path, "fgsm")
    said = "inputs that differ between methods: those of map"
    assert said not in [text.get_text() for text in drawn(results).legends[0].get_texts()]
    own = [replace(one, inputs=one.inputs + (one.method != "map")) for one in results.examples]
    figure = drawn(replace(results, examples=tuple(own)))
    assert said in [text.get_text() for text in figure.legends[0].get_texts()]


def test_only_images_under_stress(make_results: Callable[..., Path], tmp_path: Path) -> None:
    """Without attacks and shifts, or of features, there is no figure."""
    plain = made(make_results, tmp_path)
    assert draw(analyse(plain), looks(plain)) == {}
    results = made(make_results, tmp_path / "other", "fgsm")
    features = [replace(one, inputs=np.zeros((8, 5))) for one in results.examples]
    assert draw(analyse(replace(results, examples=tuple(features))), looks(results)) == {}


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
