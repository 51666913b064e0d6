"""The validation NLL of all trials by each option and setting that was tuned."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._panels import together
from bench_uq.report.figures._style import Options, text, tidy
from bench_uq.report.looks import Look
from bench_uq.report.tables.captions import wrap
from bench_uq.score.analysis import Analysis
from bench_uq.score.trials import Trial
from bench_uq.score.tuning import TunedMethod
from bench_uq.train.settings import OF_METHODS

#: Panels in a row, and rows on a sheet, which must fit a page.
_COLUMNS, _ROWS = 4, 5
#: Inches of a row of panels, with its title and the name of its axis.
_HEIGHT = 1.3
#: Share of the height of a panel that a number on its axis takes.
_LINE = 0.2
#: Below it, numbers on an axis would share a power of ten.
_TINY = 1e-3
#: Values that span more than this factor stand on a logarithmic axis.
_DECADE = 10
_GREY = "#666666"
_DEFAULT: Options = {"color": _GREY, "linestyle": (0, (4, 2)), "linewidth": 0.8, "zorder": 1}
_CHOSEN: Options = {
    "linestyle": "none",
    "marker": "o",
    "markersize": 9,
    "markerfacecolor": "none",
    "markeredgecolor": "#222222",
    "markeredgewidth": 0.9,
    "zorder": 4,
}
_DIVERGED: Options = {"linestyle": "none", "marker": "x", "markersize": 4.5, "markeredgewidth": 1}


@dataclass(frozen=True)
class Panel:
    """One option or setting of a method: its name, and the trials with a known value of it.

    ``label`` is the method as readers see it.
    """

    method: TunedMethod
    label: str
    setting: str
    trials: tuple[Trial, ...]
    texts: tuple[str, ...]  # the values as they are written

    @property
    def numbers(self) -> list[float]:
        """The values as numbers; a choice among words is numbered in the order of the words."""
        try:
            return list(map(float, self.texts))
        except ValueError:
            return [float(self.words.index(value)) for value in self.texts]

    @property
    def words(self) -> list[str]:
        """The words of a choice; empty for numbers."""
        try:
            list(map(float, self.texts))
        except ValueError:
            return sorted(set(self.texts))
        return []

    @property
    def logarithmic(self) -> bool:
        """Whether the tried values span more than a decade; a default of 0 does not count."""
        tried = [value for value in self.numbers if value]
        if self.words or not tried:
            return False
        return min(tried) > 0 and max(tried) > _DECADE * min(tried)


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw a row of panels per method, on as many sheets as they need."""
    panels = []
    for one in analysis.tuning:
        # The recipe first: methods share its settings, which then stand beneath one another.
        settings = sorted(one.settings, key=lambda name: name not in OF_METHODS)
        panels += [_panel(one, analysis.label(one.method), name) for name in settings]
    rows = _rows(panels)

    figures = {}
    for first in range(0, len(rows), _ROWS):
        end = ""
        if len(rows) > _ROWS:
            end = str(first // _ROWS + 1)
        figures[end] = _figure(rows[first : first + _ROWS], looks)
    return figures


def _panel(method: TunedMethod, label: str, setting: str) -> Panel:
    """The trials of a method whose value of a setting is known."""
    trials, texts = [], []
    for one in method.trials:
        value = method.values(one).get(setting)
        if value is not None:
            trials.append(one)
            texts.append(value)
    return Panel(method, label, setting, tuple(trials), tuple(texts))


def _rows(panels: Sequence[Panel]) -> list[list[Panel]]:
    """The panels of each method in rows of a few."""
    rows, columns = [], _layout.side_by_side(_COLUMNS)
    for _, group in groupby(panels, key=lambda panel: panel.method.method):
        own = list(group)
        rows += [own[first : first + columns] for first in range(0, len(own), columns)]
    return rows


def _figure(rows: Sequence[Sequence[Panel]], looks: Mapping[str, Look]) -> Figure:
    """Draw some rows; all panels have one axis of the NLL."""
    columns = max(map(len, rows))
    width = _layout.width(fits=columns < 3)
    # The title of a row stands at the left of its first panel, which has names beside it.
    letters = _layout.letters_above(width, columns) - 1
    height = sum(_height(row, letters) for row in rows)

    figure = _layout.sheet(width, height + 0.2, _handles(rows))
    grid = figure.subplots(len(rows), columns, sharey=True, squeeze=False)
    drawn, values = dict[Axes, Panel](), list[float]()
    for row, line in zip(rows, grid, strict=True):
        together(line, row[0].label)
        for axes in line[len(row) :]:
            axes.remove()
        for place, panel in enumerate(row):
            axes = line[place]
            drawn[axes] = panel
            _name(axes, panel, letters, first=place == 0)
            values += [one.nll for one in panel.method.trials if math.isfinite(one.nll)]

    _layout.logarithmic(grid[0, 0], values)
    _widen(grid[0, 0])
    if grid[0, 0].get_yscale() == "log":
        _thin(grid[0, 0].yaxis, _LINE)
    for axes, panel in drawn.items():
        _points(axes, panel, looks[panel.method.name])
        if not panel.words and not panel.logarithmic and max(panel.numbers, default=1) < _TINY:
            # The power of ten that matplotlib writes below would lie on the name of the setting.
            axes.xaxis.set_major_locator(MaxNLocator(2))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        tidy(axes)
        if panel.logarithmic:
            longest = _layout.longest_line(f"{tick:g}" for tick in axes.get_xticks())
            _thin(axes.xaxis, (longest + 1.5) / letters)
    return figure


def _height(row: Sequence[Panel], letters: int) -> float:
    """The inches of a row, whose names may take several lines."""
    lines = _layout.lines_in(_title(row[0], letters))
    lines += _layout.most_lines(_axis(panel, letters) for panel in row)
    return _HEIGHT + 0.14 * (lines - 2)


def _title(panel: Panel, letters: int) -> str:
    """The method of a row; a default that is chosen is told here, as its values may be unknown."""
    name = text(panel.label)
    if panel.method.kept:
        name += ": the default is chosen"
    return "\n".join(wrap(name, letters))


def _axis(panel: Panel, letters: int) -> str:
    """The setting of a panel."""
    return "\n".join(wrap(text(panel.setting), letters))


def _name(axes: Axes, panel: Panel, letters: int, *, first: bool) -> None:
    """Name the method above the first panel of its row, and the setting beneath each."""
    axes.set_xlabel(_axis(panel, letters))
    axes.tick_params(labelleft=first)
    if first:
        axes.set_ylabel("validation\nNLL (nats)")
        axes.set_title(_title(panel, letters), loc="left")


def _widen(axes: Axes) -> None:
    """Leave room for a ring around the lowest trial."""
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log":
        axes.set_ylim(low / (high / low) ** 0.08, high)
    else:
        axes.set_ylim(low - 0.08 * (high - low), high)


def _thin(axis: Axis, least: float) -> None:
    """Keep the numbers of a logarithmic axis that lie apart, powers of ten first.

    ``least`` is the share of the axis between two of them.
    """
    low, high = axis.get_view_interval()
    ticks = [float(tick) for tick in axis.get_majorticklocs() if low <= tick <= high]
    ticks.sort(key=lambda tick: not f"{tick:e}".startswith("1.000"))

    kept = list[float]()
    for tick in ticks:
        gaps = [abs(math.log(tick / other) / math.log(high / low)) for other in kept]
        if min(gaps, default=1.0) >= least:
            kept.append(tick)
    axis.set_major_locator(FixedLocator(sorted(kept)))


def _points(axes: Axes, panel: Panel, look: Look) -> None:
    """Draw a mark per trial, a cross at the upper edge for one that diverged, and the default."""
    default = panel.method.default
    if default is not None and math.isfinite(default.nll):
        axes.axhline(default.nll, **_DEFAULT)

    logarithmic = panel.logarithmic
    style = _legend.line(look) | {"linestyle": "none", "clip_on": False}
    shown = []
    for value, one in zip(panel.numbers, panel.trials, strict=True):
        # A default of 0, such as no weight decay, has no place on a logarithmic axis.
        if logarithmic and value <= 0:
            continue

        shown.append(value)
        if math.isfinite(one.nll):
            axes.plot(value, one.nll, **style)
        else:
            above = axes.get_xaxis_transform()
            axes.plot(value, 1, transform=above, color=look.color, clip_on=False, **_DIVERGED)
        if one.chosen:
            axes.plot(value, one.nll, clip_on=False, **_CHOSEN)

    if logarithmic:
        _layout.logarithmic(axes, shown, of="x")
    if panel.words:
        axes.set_xticks(range(len(panel.words)), labels=list(map(text, panel.words)))
        axes.set_xlim(-0.5, len(panel.words) - 0.5)


def _handles(rows: Sequence[Sequence[Panel]]) -> list[Artist]:
    """A sample of everything that stands in a panel."""
    grey: Options = {"color": _GREY, "linestyle": "none", "marker": "o", "markersize": 4}
    handles: list[Artist] = [
        Line2D([], [], label="a trial (mean over seeds)", **grey),
        Line2D([], [], label="NLL of the default", **_DEFAULT),
    ]
    # Seeds that were tuned apart have one each.
    if not all(row[0].method.apart for row in rows):
        handles.insert(1, Line2D([], [], label="chosen", **_CHOSEN))
    if any(row[0].method.diverged for row in rows):
        handles.append(Line2D([], [], label="diverged", color=_GREY, **_DIVERGED))
    return handles
