"""Where the names of marks stand in a chart: beside their marks, over nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

#: Width of a letter, more than most have, and height of a line, in units of the chart.
_LETTER, _LINE = 6.0, 12.0
#: Half the side of the square that a mark takes.
_MARK = 5.5
#: Distances of a name from its mark; a line leads to names that are not at the first.
_DISTANCES = (8.0, 18.0, 30.0, 44.0, 60.0, 78.0, 98.0)
#: Directions from a mark, those that read best first.
_DIRECTIONS = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1))


@dataclass(frozen=True)
class Box:
    """A rectangle, in units of the chart; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether the two share an area."""
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.bottom <= other.top or other.bottom <= self.top)

    def within(self, other: Box) -> bool:
        """Whether no part of it lies outside ``other``."""
        across = other.left <= self.left and self.right <= other.right
        return across and other.top <= self.top and self.bottom <= other.bottom


@dataclass(frozen=True)
class Placed:
    """A name beside the mark at (``x``, ``y``): its box, and whether a line leads to it.

    ``anchor`` is the side at which the name touches its box, as in SVG's ``text-anchor``.
    """

    name: str
    x: float
    y: float
    box: Box
    anchor: str
    led: bool

    def line(self) -> tuple[float, float]:
        """The point of the box that is nearest to the mark, where the line to it ends."""
        across = min(max(self.x, self.box.left), self.box.right)
        down = min(max(self.y, self.box.top), self.box.bottom)
        return across, down


def place_names(
    names: Sequence[tuple[str, float, float]],
    marks: Sequence[tuple[float, float]],
    chart: Box,
    lines: Sequence[Box] = (),
) -> list[Placed]:
    """A place for each name, in their order, over no mark, line or other name, within the chart.

    ``names`` are of some of the ``marks``, each with the position of its own. A name for which
    there is no such place stands right of its mark.
    """
    taken = [*lines, *(_around(x, y) for x, y in marks)]
    found = list[Placed]()
    for name, x, y in names:
        places = list(_places(name, x, y))
        free = [one for one in places if one.box.within(chart) and not _meets(one.box, taken)]
        chosen = (free or places)[0]
        found.append(chosen)
        taken.append(chosen.box)
    return found


def _around(x: float, y: float) -> Box:
    """The square of a mark."""
    return Box(x - _MARK, y - _MARK, x + _MARK, y + _MARK)


def _meets(box: Box, others: Sequence[Box]) -> bool:
    return any(box.meets(other) for other in others)


def _places(name: str, x: float, y: float) -> Iterator[Placed]:
    """Places of a name around its mark, the best first."""
    wide = _LETTER * len(name)
    for distance in _DISTANCES:
        for across, down in _DIRECTIONS:
            # Beside the mark its middle is at the mark's height; above and below it is centred.
            left, anchor = x - wide / 2, "middle"
            if across > 0:
                left, anchor = x + distance, "start"
            elif across < 0:
                left, anchor = x - distance - wide, "end"
            middle = y + down * (distance + _LINE / 2)
            box = Box(left, middle - _LINE / 2, left + wide, middle + _LINE / 2)
            yield Placed(name, x, y, box, anchor, led=distance > _DISTANCES[0])
