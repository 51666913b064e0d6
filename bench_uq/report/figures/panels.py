"""Panels and legends that all figures share, so that none of them overlaps its data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bench_uq.report.figures.style import COLUMN, PAGE, Look, Options, text
from bench_uq.report.tables.captions import level_name, wrap
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import Curve, Shown, Summary

#: Inches that a line of a legend takes, and that a letter of it takes on average.
_LINE, _LETTER = 0.15, 0.064


def shape(count: int) -> tuple[int, int, float]:
    """Return rows, columns and width in inches of a sheet of that many panels."""
    columns = count if count <= 4 else 3 if count <= 6 else 4
    return math.ceil(count / columns), columns, COLUMN if count <= 2 else PAGE


def sheet(width: float, height: float, handles: Sequence[Artist]) -> Figure:
    """Return an empty figure whose panels get that height, with a legend of the handles beneath them."""
    labels = [str(handle.get_label()) for handle in handles]
    longest = max(len(line) for label in labels for line in label.split("\n"))
    columns = max(1, min(len(labels), int((width - 0.1) / (longest * _LETTER + 0.5))))
    rows = math.ceil(len(labels) / columns)
    # A legend is filled column by column.
    filled = (labels[first : first + rows] for first in range(0, len(labels), rows))
    lines = max(sum(map(_lines, column)) for column in filled)
    figure = Figure(figsize=(width, height + _LINE * (lines + 0.5)), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.03, hspace=0)  # type: ignore[call-arg, union-attr]
    figure.legend(
        handles=list(handles), loc="outside lower center", ncols=columns, handlelength=2.4
    )
    return figure


def grid(
    figure: Figure, count: int, columns: int, x: str, y: str, *, common: str = "xy"
) -> list[Axes]:
    """Return that many panels, of which x, y or both are common, named at the lower and left edges alone."""
    panels = []
    rows = math.ceil(count / columns)
    made = figure.subplots(rows, columns, sharex="x" in common, sharey="y" in common, squeeze=False)
    for place, axes in enumerate(made.flat):
        if place >= count:
            axes.remove()
            continue
        edge(axes, sides(place, count, columns), x, y)
        if "x" not in common:
            axes.tick_params(labelbottom=True)
        if "y" not in common:
            axes.tick_params(labelleft=True)
        panels.append(axes)
    return panels


def sides(place: int, count: int, columns: int) -> tuple[bool, bool]:
    """Tell whether no other panel stands beneath a panel, and none left of it."""
    return place + columns >= count, place % columns == 0


def edge(axes: Axes, free: tuple[bool, bool], x: str, y: str) -> None:
    """Name the axes of a panel at the sides that are free: the lower and the left one."""
    lowest, leftmost = free
    axes.tick_params(labelbottom=lowest, labelleft=leftmost)
    axes.set_xlabel(x if lowest else "")
    axes.set_ylabel(y if leftmost else "")


def lines_of(titles: Iterable[str]) -> int:
    """Return how many lines the highest of some titles takes."""
    return max(map(_lines, titles), default=0)


def label(
    analysis: Analysis, method: str, seeds: int, width: int = 24, *, unit: str = "seeds"
) -> str:
    """Return what a method is called in a figure, with the seeds that it rests on where some are missing."""
    own = analysis.seeds(method)
    missing = "" if seeds == own.planned else f" ({seeds}/{own.planned} {unit})"
    dagger = " †" if own.unconverged else ""
    *lines, last = wrap(text(method), width - len(dagger))
    last += dagger
    ends = [last + missing] if len(last + missing) <= width else [last, missing.strip()]
    return "\n".join([*lines, *ends])


def method_handles(
    analysis: Analysis, seeds: Mapping[str, int], looks: Mapping[str, Look]
) -> list[Artist]:
    """Return a sample of the line of each method in ``seeds``, finished or not, and what a dagger means."""
    lines = [
        Line2D([], [], label=label(analysis, method, seeds[method]), **line(looks[method]))
        for method in seeds
    ]
    return [*lines, *dagger_handle(analysis)]


def fewest(curves: Iterable[Curve]) -> int:
    """Return the fewest seeds that one of the curves rests on; a curve that is not there is seen to be missing."""
    return min((curve.seeds for curve in curves if curve.seeds), default=0)


def left_out(count: int) -> list[Artist]:
    """Return the entry of a legend that tells how many conditions are not shown, if there are any."""
    return [Line2D([], [], linestyle="none", label=f"({count} more not shown)")] if count else []


def range_handle(drawn: Literal["band", "whiskers"], summaries: Iterable[Summary]) -> list[Artist]:
    """Return the entry of a legend that says what bands or whiskers are, if one of the means is of several seeds."""
    if all(one.seeds < 2 for one in summaries):
        return []
    name = f"{drawn}: range over seeds"
    if drawn == "band":
        return [Patch(color="#666666", alpha=0.3, linewidth=0, label=name)]
    cross: Options = {"linestyle": "none", "marker": "+", "markersize": 9, "markeredgewidth": 0.8}
    return [Line2D([], [], color="#666666", label=name, **cross)]


def dagger_handle(analysis: Analysis) -> list[Artist]:
    """Return the entry of a legend that explains the dagger, if a label has one."""
    marked = any(analysis.seeds(method).unconverged for method in analysis.methods)
    return [Line2D([], [], linestyle="none", label="† not converged")] if marked else []


def line(look: Look) -> Options:
    """Return a look as the options of a line."""
    size = 5.5 if look.marker in "PX*" else 4  # these have little area
    marker = {"marker": look.marker, "markersize": size, "markeredgecolor": "white"}
    return {"color": look.color, "linestyle": look.linestyle, **marker}


def every(count: int, place: int, marks: int = 7) -> tuple[int, int]:
    """Return where a line of that many points has its marks, staggered from line to line."""
    step = max(1, count // marks)
    return (place * max(1, step // 3)) % step, step


def shown_title(where: Shown, width: int, joint: str = "\n") -> str:
    """Return what a trained model was shown, as the title of a panel."""
    condition, level = where
    name = "\n".join(wrap(text(condition), width))
    return name if level is None else f"{name}{joint}{level_name(condition)} = {level:g}"


def nothing(axes: Axes, reason: str = "no finished run") -> None:
    """Say in an empty panel that there is nothing to show."""
    style: Options = {
        "ha": "center",
        "va": "center",
        "color": "#666666",
        "fontsize": 7,
        "in_layout": False,
    }
    axes.text(0.5, 0.5, reason, transform=axes.transAxes, **style)


def mark(axes: Axes, place: float, name: str, *, vertical: bool) -> None:
    """Draw a thin line at a known bound, its name outside the data."""
    style: Options = {"color": "#666666", "linestyle": (0, (2, 2)), "linewidth": 0.7, "zorder": 1}
    if vertical:
        axes.axvline(place, **style)
        axes.annotate(
            name,
            (place, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 1),
            **_beside("center", "bottom"),
        )
    else:
        axes.axhline(place, **style)
        axes.annotate(
            name,
            (1, place),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            **_beside("left", "center"),
        )


def logarithmic(axes: Axes, values: Iterable[float], *, of: Literal["x", "y"] = "y") -> None:
    """Make an axis logarithmic with a few plain numbers on it, if all values are positive."""
    values = list(values)
    if not values or min(values) <= 0 or not math.isfinite(max(values)):
        return
    room = max(1.02, (max(values) / min(values)) ** 0.05)
    low, high = min(values) / room, max(values) * room
    axes.set(**{f"{of}scale": "log", f"{of}lim": (low, high)})
    axis = axes.yaxis if of == "y" else axes.xaxis
    axis.set_major_locator(FixedLocator(_ticks(low, high)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _ticks(low: float, high: float) -> list[float]:
    """Return a few round numbers on a logarithmic axis."""
    decades = [
        10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ]
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)):
        ticks = [
            step * decade for decade in decades for step in steps if low <= step * decade <= high
        ]
        if len(ticks) >= 3:
            return ticks
    return [tick for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]


def _beside(horizontal: str, vertical: str) -> Options:
    """Return the options of a small name beside an axis."""
    return {
        "textcoords": "offset points",
        "ha": horizontal,
        "va": vertical,
        "fontsize": 7,
        "color": "#666666",
    }


def _lines(label: str) -> int:
    """Return how many lines a text takes."""
    return label.count("\n") + 1
