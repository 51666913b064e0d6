"""Sheets of panels and their axes, laid out so that no text overlaps the data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bench_uq.report.figures._style import Options, paper

#: Inches that a line of a legend takes, and that a letter of it takes on average.
_LINE, LETTER = 0.157, 0.064
#: Rows of a legend from which on a figure takes the width of a page.
_MOST_ROWS = 14
#: Inches of a panel that stands beside others, at least.
_NARROWEST = 1.5
#: Inches that the numbers of an axis take, and of a panel that loses little by them.
_BESIDE, _WIDE = 0.6, 1.69
#: Inches of the highest sheet, and those of them that its legend may take.
PAGE_HEIGHT, _LEGEND = 9.4, 1.0
_GREY = "#666666"


def shape(count: int) -> tuple[int, int, float]:
    """Rows, columns and width in inches of a sheet of that many panels."""
    columns = count
    if count > 6:
        columns = 4
    elif count > 4:
        # A fourth column would leave two or three holes in the second row.
        columns = 3
    columns = side_by_side(columns)
    return math.ceil(count / columns), columns, width(fits=count <= 2)


def parts(count: int, columns: int, row: float) -> list[slice]:
    """The panels of each sheet, where rows of that height in inches are too many for a page."""
    rows = math.ceil(count / columns)
    fit = max(1, int((PAGE_HEIGHT - _LEGEND) / row))
    # A panel that has a file of its own needs no page.
    sheets = 1 if paper().panels else math.ceil(rows / fit)
    ends = [columns * round(rows * sheet / sheets) for sheet in range(sheets + 1)]
    return [slice(first, min(last, count)) for first, last in pairwise(ends)]


def numbered(figures: Sequence[Figure], end: str = "") -> dict[str, Figure]:
    """Sheets by the ends of their names: numbers, if there are several."""
    if len(figures) == 1:
        return {end: figures[0]}
    digits, found = len(str(len(figures))), dict[str, Figure]()
    for place, figure in enumerate(figures, 1):
        # Sorted names are in the order of the sheets.
        found["-".join(filter(None, (end, f"{place:0{digits}}")))] = figure
    return found


def width(*, fits: bool) -> float:
    """The width in inches of a column if the figure fits it, else that of a page."""
    return paper().column if fits else paper().page


def side_by_side(most: int, beside: float = 0.0) -> int:
    """How many panels stand side by side on a page, at most so many.

    ``beside`` are the inches of a page that names take.
    """
    if paper().panels:
        return 1
    return max(1, min(most, int((paper().page - beside) / _NARROWEST)))


def sheet(width: float, height: float, handles: Sequence[Artist]) -> Figure:
    """An empty figure with that height for panels, and a legend of the handles beneath them."""
    labels = [str(handle.get_label()) for handle in handles]

    # The height must be known before anything is drawn, hence letters are counted, not measured.
    columns, rows = _shape_of_legend(labels, width)
    if rows > _MOST_ROWS:
        # Many methods: in a column of text the legend would be taller than the panels.
        width = paper().page
        columns, rows = _shape_of_legend(labels, width)

    lines = 0
    for first in range(0, len(labels), rows):  # a legend is filled column by column
        lines = max(lines, sum(map(lines_in, labels[first : first + rows])))

    # The legend adds to the height: the panels of all suites have the same size, however many
    # methods there are.
    figure = Figure(figsize=(width, height + _LINE * (lines + 0.5)), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.03, hspace=0)  # type: ignore[call-arg, union-attr]
    figure.legend(
        handles=list(handles), loc="outside lower center", ncols=columns, handlelength=2.4
    )
    return figure


def _shape_of_legend(labels: Sequence[str], width: float) -> tuple[int, int]:
    """Columns and rows of a legend beneath a figure of some width in inches."""
    columns = int((width - 0.1) / (longest_line(labels) * LETTER + 0.5))
    columns = max(1, min(len(labels), columns))
    return columns, math.ceil(len(labels) / columns)


def grid(
    figure: Figure, count: int, columns: int, names: tuple[str, str], *, common: str = "xy"
) -> list[Axes]:
    """That many panels; x and y are named at the lower and left edges alone.

    ``common`` axes have the same limits in all panels.
    """
    rows = math.ceil(count / columns)
    made = figure.subplots(rows, columns, sharex="x" in common, sharey="y" in common, squeeze=False)
    panels = list(made.flat)
    for axes in panels[count:]:
        axes.remove()

    for place, axes in enumerate(panels[:count]):
        edge(axes, sides(place, count, columns), names)
        if "x" not in common:
            axes.tick_params(labelbottom=True)
        if "y" not in common:
            axes.tick_params(labelleft=True)
    return panels[:count]


def sides(place: int, count: int, columns: int) -> tuple[bool, bool]:
    """Whether a panel is the lowest of its column, and the leftmost of its row.

    A panel that has a file of its own is both.
    """
    if paper().panels:
        return True, True
    return place + columns >= count, place % columns == 0


def edge(axes: Axes, free: tuple[bool, bool], names: tuple[str, str]) -> None:
    """Name the axes of a panel at its free sides: the lower and the left one."""
    lowest, leftmost = free
    axes.tick_params(labelbottom=lowest, labelleft=leftmost)
    axes.set_xlabel(names[0] if lowest else "")
    axes.set_ylabel(names[1] if leftmost else "")


def panels_of(
    titles: Sequence[str],
    height: float,
    handles: Sequence[Artist],
    names: tuple[str, str],
    *,
    common: str = "xy",
) -> tuple[Figure, list[Axes]]:
    """A sheet with a panel of that height in inches for each title."""
    rows, columns, wide = shape(len(titles))
    row = height + named_below(lines_in(names[0])) + 0.14 * most_lines(titles)
    figure = sheet(wide, rows * row + 0.3, handles)

    panels = grid(figure, len(titles), columns, names, common=common)
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title)
    return figure, panels


def named_below(lines: int) -> float:
    """Inches that each row needs for numbers and name of the x axis, if every panel has them."""
    return 0.2 + 0.14 * lines if paper().panels else 0.0


def letters_in_title(count: int) -> int:
    """Letters that fit above one of that many panels."""
    _, columns, wide = shape(count)
    return letters_above(wide, columns)


def letters_above(wide: float, columns: int) -> int:
    """Letters that fit above one of so many panels side by side in some inches."""
    # A title is centred on its axes, which alone in a row lie to the right of their numbers.
    if columns == 1:
        return int((wide - _BESIDE) * 13)
    room = wide / columns
    return int(room * (13 if room >= _WIDE else 12))


def lines_in(text: str) -> int:
    """The number of lines of a text."""
    return text.count("\n") + 1


def longest_line(texts: Iterable[str]) -> int:
    """The number of letters of the longest line of some texts."""
    return max(map(len, "\n".join(texts).split("\n")))


def most_lines(titles: Iterable[str]) -> int:
    """The number of lines of the highest title."""
    return max(map(lines_in, titles), default=0)


def nothing(axes: Axes, reason: str = "no finished run") -> None:
    """Say in an empty panel that there is nothing to show."""
    # Not part of the layout, in which a long reason would shrink all panels.
    style: Options = {"color": _GREY, "fontsize": 7, "in_layout": False}
    axes.text(0.5, 0.5, reason, ha="center", va="center", transform=axes.transAxes, **style)


def mark(axes: Axes, place: float, name: str, *, vertical: bool) -> None:
    """Draw a thin line at a known bound, its name outside the data."""
    line: Options = {"color": _GREY, "linestyle": (0, (2, 2)), "linewidth": 0.7, "zorder": 1}
    text: Options = {"textcoords": "offset points", "fontsize": 7, "color": _GREY}

    # Along one axis the name stands at the bound, along the other at the edge of the panel, so
    # that it stays outside whatever limits the panel gets later.
    if vertical:
        axes.axvline(place, **line)
        text |= {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "bottom"}
        axes.annotate(name, (place, 1), xytext=(0, 1), **text)
        axes.set_title(axes.get_title(), pad=10)  # above the name
    else:
        axes.axhline(place, **line)
        text |= {"xycoords": ("axes fraction", "data"), "ha": "left", "va": "center"}
        axes.annotate(name, (1, place), xytext=(3, 0), **text)


def logarithmic(axes: Axes, values: Iterable[float], *, of: Literal["x", "y"] = "y") -> None:
    """Make an axis logarithmic with a few plain numbers on it, if all values are positive."""
    values = list(values)
    if not values or min(values) <= 0 or not math.isfinite(max(values)):
        return

    # At least two per cent: matplotlib warns of equal limits.
    room = max(1.02, (max(values) / min(values)) ** 0.05)
    low, high = min(values) / room, max(values) * room
    axes.set(**{f"{of}scale": "log", f"{of}lim": (low, high)})

    # matplotlib would name powers of ten alone, and crowd a short axis with products of them.
    axis = {"x": axes.xaxis, "y": axes.yaxis}[of]
    axis.set_major_locator(FixedLocator(_ticks(low, high)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _ticks(low: float, high: float) -> list[float]:
    """A few round numbers on a logarithmic axis."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)):
        ticks = []
        for power in powers:
            ticks += [step * 10.0**power for step in steps if low <= step * 10.0**power <= high]
        if len(ticks) >= 3:
            # More would lie on one another in a narrow panel.
            return ticks if len(ticks) <= 5 else ticks[::2]

    return [tick for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]
