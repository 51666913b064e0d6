"""Lines of methods, their names, and the entries of legends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bench_uq.report.figures._layout import LETTER
from bench_uq.report.figures._style import Options, paper, text
from bench_uq.report.looks import Look
from bench_uq.report.tables.captions import wrap
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import Curve, Shown, Summary

#: Sizes of the marks that have little area.
_LARGE = {"P": 5.5, "X": 5.5, "*": 5.5}


def label(
    analysis: Analysis, method: str, seeds: int, width: int = 24, *, unit: str = "seeds"
) -> str:
    """The name of a method, with the number of seeds if some are missing."""
    own = analysis.seeds(method)
    missing = "" if seeds == own.planned else f" ({seeds}/{own.planned} {unit})"
    dagger = " †" if own.marked else ""

    # The dagger must not be broken off the name, hence room is kept for it on every line.
    *lines, last = wrap(text(analysis.label(method)), width - len(dagger))
    last += dagger
    if len(last + missing) <= width:
        return "\n".join([*lines, last + missing])
    return "\n".join([*lines, last, missing.strip()])


def words(sentence: str) -> Artist:
    """An entry of words alone."""
    return Line2D([], [], linestyle="none", label=fitted(sentence))


def fitted(entry: str) -> str:
    """The text of an entry in lines that fit the page."""
    most = int((paper().page - 0.6) / LETTER)
    lines = list[str]()
    for line in entry.split("\n"):
        lines += wrap(line, most)
    return "\n".join(lines)


def method_handles(
    analysis: Analysis, seeds: Mapping[str, int], looks: Mapping[str, Look]
) -> list[Artist]:
    """The line of each method in ``seeds``, finished or not, and the meaning of the dagger."""
    handles: list[Artist] = []
    for method, count in seeds.items():
        name = label(analysis, method, count)
        handles.append(Line2D([], [], label=name, **line(looks[method])))
    return handles + dagger_handle(analysis)


def fewest(curves: Iterable[Curve]) -> int:
    """The fewest seeds of a curve; a curve without any is visibly missing."""
    return min((curve.seeds for curve in curves if curve.seeds), default=0)


def left_out(count: int, noun: str = "") -> list[Artist]:
    """The entry that says how many more there are than are shown, if any."""
    return [words(f"({count} more {noun}not shown)")] if count else []


def range_handle(
    drawn: Literal["band", "whiskers"], summaries: Iterable[Summary], *, of: str = ""
) -> list[Artist]:
    """The entry that explains bands or whiskers, if one of the means is of several seeds.

    ``of`` says which methods have them, if not all.
    """
    if all(one.seeds < 2 for one in summaries):
        return []

    # A long entry would cost the legend a column.
    name = f"{drawn}{of}: range" if of else f"{drawn}: range over seeds"
    if drawn == "band":
        return [Patch(color="#666666", alpha=0.3, linewidth=0, label=name)]

    cross: Options = {"linestyle": "none", "marker": "+", "markersize": 9, "markeredgewidth": 0.8}
    return [Line2D([], [], color="#666666", label=name, **cross)]


def dagger_handle(analysis: Analysis) -> list[Artist]:
    """The entry that explains the dagger, if a label has one."""
    for method in analysis.methods:
        if analysis.seeds(method).marked:
            return [words("† not converged")]
    return []


def line(look: Look) -> Options:
    """A look as the options of a line."""
    return {
        "color": look.color,
        "linestyle": look.linestyle,
        "marker": look.marker,
        "markersize": _LARGE.get(look.marker, 4),
        # The edge keeps marks apart that lie on one another.
        "markeredgecolor": "white",
    }


def draw_curve(axes: Axes, curve: Curve, place: int, look: Look) -> None:
    """Draw the curve of the method at that place."""
    axes.plot(curve.x, curve.y, markevery=every(len(curve.x), place), **line(look))


def every(count: int, place: int, marks: int = 7) -> tuple[int, int]:
    """Where a line of that many points has its marks, staggered from line to line."""
    # Of curves that lie on one another only the last would show marks at the same points.
    step = max(1, count // marks)
    return (place * max(1, step // 3)) % step, step


def shown_title(analysis: Analysis, where: Shown, width: int, joint: str = "\n") -> str:
    """A condition and its level as the title of a panel."""
    condition, level = where
    name = "\n".join(wrap(text(analysis.label(condition)), width))
    if level is None:
        return name
    return f"{name}{joint}{analysis.level_name(condition)} = {level:g}"
