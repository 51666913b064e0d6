"""Names beside the marks of a chart."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from bench_uq.report.page.names import Box, place_names

CHART = Box(60, 0, 520, 256)


def test_a_name_stands_right_of_its_mark_where_there_is_room() -> None:
    (one,) = place_names([("mnf", 100, 100)], [(100, 100)], CHART)
    assert (one.anchor, one.led) == ("start", False)
    assert one.box == Box(108, 94, 126, 106)


def test_a_name_makes_room_for_the_mark_of_another() -> None:
    """With a mark where it would stand, it stands left; near both edges, above or below."""
    (left,) = place_names([("mnf", 100, 100)], [(100, 100), (112, 100)], CHART)
    assert left.anchor == "end"
    assert left.box.right == 92

    narrow = Box(90, 0, 120, 256)
    (above,) = place_names([("mnf", 100, 100)], [(100, 100)], narrow)
    assert (above.anchor, above.box.bottom, above.led) == ("middle", 92, False)


def test_a_name_far_from_its_mark_has_a_line_to_it() -> None:
    crowd = list(product((86, 100, 114), repeat=2))
    (one,) = place_names([("a long name", 100, 100)], crowd, CHART)
    assert one.led
    x, y = one.line()
    assert one.box.left <= x <= one.box.right
    assert one.box.top <= y <= one.box.bottom


@pytest.mark.parametrize("seed", range(20))
def test_twelve_names_cover_nothing_and_stay_in_the_chart(seed: int) -> None:
    """Marks anywhere, also close to one another, and names of every length."""
    rng = np.random.default_rng(seed)
    xs = rng.uniform(CHART.left + 5, CHART.right - 100, 12)
    ys = rng.uniform(CHART.top + 5, CHART.bottom - 5, 12)
    marks = list(zip(xs.tolist(), ys.tolist(), strict=True))
    names = [("m" * int(rng.integers(3, 20)), x, y) for x, y in marks]
    placed = place_names(names, marks, CHART)

    assert [one.name for one in placed] == [name for name, _, _ in names]
    for first, second in combinations(placed, 2):
        assert not first.box.meets(second.box)
    for one in placed:
        assert one.box.within(CHART)
        for x, y in marks:
            assert not one.box.meets(Box(x - 5, y - 5, x + 5, y + 5))


def test_a_name_stands_on_no_line() -> None:
    """A line to the right of a mark, such as the front, sends its name to the left."""
    line = Box(100, 99, 300, 101)
    (one,) = place_names([("mnf", 100, 100)], [(100, 100)], CHART, [line])
    assert not one.box.meets(line)
    assert one.anchor == "end"
