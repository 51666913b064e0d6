"""Each panel of a figure by itself, for a file of its own, and its legend."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

#: The end of the name of a legend.
LEGEND = "legend"
#: Inches around a panel.
_PAD = 0.03


def together(panels: Sequence[Axes], name: str) -> None:
    """Keep some axes in one file, by this name."""
    for axes in panels:
        axes.set_label(name)


def each_panel(figure: Figure) -> Iterator[tuple[str, Bbox]]:
    """Each panel with the others hidden, and its box in inches; the legend last.

    A panel is called by its title, else by the name of its y axis. It has the width of its figure
    if it has no neighbour.
    """
    renderer = FigureCanvasAgg(figure).get_renderer()
    groups = _grouped(figure)
    boxes = [_around(axes, figure, renderer) for axes in groups]

    names, taken = [_name(axes) for axes in groups], dict[str, int]()
    for axes, box, name in zip(groups, boxes, names, strict=True):
        taken[name] = number = taken.get(name, 0) + 1
        end = f"{name}-{number}" if names.count(name) > 1 else name
        if not any(other is not box and _beside(box, other) for other in boxes):
            box = Bbox.from_extents(0, box.y0, figure.get_figwidth(), box.y1)
        with _alone(figure, axes):
            yield end, box

    if figure.legends:
        with _alone(figure, figure.legends):
            yield LEGEND, _around(figure.legends, figure, renderer)


def _grouped(figure: Figure) -> list[list[Axes]]:
    """The axes of each panel."""
    groups: dict[object, list[Axes]] = {}
    for axes in figure.axes:
        # Axes without a label are a panel each.
        groups.setdefault(axes.get_label() or axes, []).append(axes)
    return list(groups.values())


def _name(group: Sequence[Axes]) -> str:
    """What a panel is called in the name of its file."""
    first = group[0]
    names = [str(first.get_label()), first.get_title(), first.get_title("left")]
    for name in (*names, first.get_ylabel()):
        plain = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")
        if plain:
            return plain
    return "panel"


def _around(artists: Sequence[Artist], figure: Figure, renderer: Any) -> Bbox:
    """The box of all that some artists draw, in inches."""
    boxes = [box for one in artists if (box := one.get_tightbbox(renderer))]
    inches = Bbox.union(boxes).transformed(figure.dpi_scale_trans.inverted())
    # Rounded: the last digits differ from machine to machine.
    return Bbox(inches.padded(_PAD).get_points().round(3))


def _beside(one: Bbox, other: Bbox) -> bool:
    """Whether the middle of a box is at the height of another."""
    return other.y0 < (one.y0 + one.y1) / 2 < other.y1


@contextmanager
def _alone(figure: Figure, kept: Sequence[Artist]) -> Iterator[None]:
    """Hide everything else of a figure."""
    everything: list[Artist] = [*figure.axes, *figure.legends, *figure.texts]
    hidden = [one for one in everything if one not in kept and one.get_visible()]
    for one in hidden:
        one.set_visible(False)
    try:
        yield
    finally:
        for one in hidden:
            one.set_visible(True)
