"""Which methods rank where over all datasets, and which of them the datasets cannot tell apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench_uq.report.figures import panels
from bench_uq.report.figures.style import COLUMN, PAGE, Look, Options, text
from bench_uq.report.tables.captions import ARROWS, wrap
from bench_uq.report.tables.cells import TITLES
from bench_uq.score.analysis import Analysis
from bench_uq.score.statistics import ALPHA, Ranks, cliques
from bench_uq.score.summaries import directions

_METRICS = ("nll", "accuracy", "rmse", "ece")
#: Inches that a line of text, a letter and the bar of a group take, and where the axis stands beneath the top.
_LINE, _LETTER, _BAR, _AXIS = 0.125, 0.062, 0.075, 0.42
#: Inches between the marks of equal ranks.
_ASIDE = 0.06
_GROUP: Options = {"color": "#333333", "linewidth": 2.6, "solid_capstyle": "butt"}
_THIN: Options = {"color": "#333333", "linewidth": 0.8}


@dataclass(frozen=True)
class Diagram:
    """One metric: its ranks, what its methods are called, and what was left out."""

    metric: str
    ranks: Ranks
    labels: Mapping[str, str]
    left_out: str

    @property
    def ends(self) -> tuple[list[str], list[str]]:
        """Return the methods labelled at the left and at the right, each from its end towards the middle."""
        ordered = sorted(self.ranks.mean, key=lambda name: self.ranks.mean[name])
        half = math.ceil(len(ordered) / 2)
        return ordered[:half], ordered[: half - 1 : -1]

    @property
    def rows(self) -> list[int]:
        """Return how many lines each row of labels takes."""
        left, right = self.ends
        return [
            panels.lines_of(self.labels[end[row]] for end in (left, right) if row < len(end))
            for row in range(len(left))
        ]

    @property
    def title(self) -> str:
        """Return the metric, the datasets and the p-value of all methods being alike, or that no ranks could differ."""
        p, count = self.ranks.p, len(self.ranks.mean)
        friedman = (
            "" if math.isnan(p) else f" (Friedman p {'< 0.001' if p < 0.001 else f'= {p:.3f}'})"
        )
        name = TITLES[self.metric] + ARROWS[directions()[self.metric]]
        if self.ranks.critical >= count - 1:
            return f"{name}: {self.ranks.datasets} datasets cannot tell {count} methods apart"
        return f"{name}: mean ranks over {self.ranks.datasets} datasets{friedman}"


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> Figure | None:
    """Draw a critical-difference diagram a metric (Demšar 2006) of the means on clean data."""
    diagrams = [diagram for metric in _METRICS if (diagram := _diagram(analysis, metric))]
    if not diagrams:
        return None
    longest = max(
        len(line) for one in diagrams for label in one.labels.values() for line in label.split("\n")
    )
    most = max(len(one.labels) for one in diagrams)
    title = max(len(one.title) for one in diagrams)
    width = COLUMN if longest <= 14 and most <= 6 and title * _LETTER <= COLUMN else PAGE
    notes = [_note(one.left_out, int(width / _LETTER)) for one in diagrams]
    heights = [_height(one, note) for one, note in zip(diagrams, notes, strict=True)]
    figure = panels.sheet(width, sum(heights) + 0.27 * len(heights), _handles(analysis, diagrams))
    grid = figure.add_gridspec(len(diagrams), 1, height_ratios=heights)
    for place, (one, note, height) in enumerate(zip(diagrams, notes, heights, strict=True)):
        axes = figure.add_subplot(grid[place], xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        axes.set_title(one.title)
        _draw(axes, one, looks, longest * _LETTER + 0.12)
        axes.text(0, height, "\n".join(note), va="bottom", color="#666666", fontsize=7)
    return figure


def _diagram(analysis: Analysis, metric: str) -> Diagram | None:
    """Return what there is to draw of one metric; labels tell the runs that a method's means rest on."""
    found = analysis.rankings[metric]
    if found.ranks is None:
        return None
    scores = analysis.results.scores
    values = scores[(scores["metric"] == metric) & (scores["condition"] == "clean")].dropna(
        subset="value"
    )
    values = values[~values["dataset"].isin(found.datasets)]
    counts = values["method"].value_counts()
    runs = analysis.results.runs
    ranked = runs[runs["dataset"].isin(set(values["dataset"]))]
    own = Analysis(replace(analysis.results, runs=ranked))
    labels = {
        name: panels.label(own, name, int(counts[name]), 30, unit="runs")
        for name in found.ranks.mean
    }
    return Diagram(metric, found.ranks, labels, str(found))


def _height(one: Diagram, note: Sequence[str]) -> float:
    """Return the inches that a diagram takes: axis, bars of groups, labels, and a note beneath."""
    return _labels_top(one) + sum(map(_row, one.rows)) + _LINE * len(note)


def _labels_top(one: Diagram) -> float:
    """Return where the labels begin, beneath the bars of the groups."""
    return _AXIS + 0.12 + _BAR * len(cliques(one.ranks))


def _row(lines: int) -> float:
    """Return the inches of a row of labels."""
    return _LINE * lines + 0.05


def _note(left_out: str, width: int) -> list[str]:
    """Name what was left out."""
    return wrap(text(left_out), width) if left_out else []


def _draw(axes: Axes, one: Diagram, looks: Mapping[str, Look], side: float) -> None:
    """Draw one diagram in inches, with that much room for labels at both ends."""
    width, count = axes.get_xlim()[1], len(one.ranks.mean)
    span = max(count - 1, one.ranks.critical)
    x = {
        name: _place(rank, span, width, side) + aside
        for name, (rank, aside) in _asides(one.ranks.mean).items()
    }
    ticks = [_place(rank, span, width, side) for rank in range(1, count + 1)]
    axes.plot([ticks[0], ticks[-1]], [_AXIS, _AXIS], **_THIN)
    for rank, tick in enumerate(ticks, start=1):
        axes.plot([tick, tick], [_AXIS - 0.04, _AXIS], **_THIN)
        axes.text(tick, _AXIS - 0.05, str(rank), ha="center", va="bottom", fontsize=7)
    _critical(axes, ticks[0], _place(1 + one.ranks.critical, span, width, side), one.ranks.critical)
    for place, group in enumerate(cliques(one.ranks)):
        ends = [x[group[0]] - 0.04, x[group[-1]] + 0.04]
        axes.plot(ends, [_AXIS + 0.1 + _BAR * place] * 2, **_GROUP)
    for names, end, toward in zip(one.ends, (side, width - side), (-1, 1), strict=True):
        top = _labels_top(one)
        for name, lines in zip(names, one.rows, strict=False):
            _label(
                axes, (x[name], top + _row(lines) / 2), (end, toward), one.labels[name], looks[name]
            )
            top += _row(lines)


def _place(rank: float, span: float, width: float, side: float) -> float:
    """Return where a rank stands between the labels, the best at the left."""
    return side + 0.1 + (rank - 1) / span * (width - 2 * side - 0.2)


def _asides(mean: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Return each mean rank, and by how many inches its mark stands aside so that equal ones do not hide each other."""
    found: dict[str, tuple[float, float]] = {}
    for rank in sorted(set(mean.values())):
        tied = [name for name, own in mean.items() if own == rank]
        found |= {
            name: (rank, _ASIDE * (place - (len(tied) - 1) / 2)) for place, name in enumerate(tied)
        }
    return found


def _critical(axes: Axes, left: float, right: float, size: float) -> None:
    """Draw how far two ranks must be apart."""
    axes.plot([left, left, left, right, right, right], [0.14, 0.2, 0.17, 0.17, 0.14, 0.2], **_THIN)
    axes.text(left, 0.13, f"CD = {size:.2f}", va="bottom", fontsize=7)


def _label(
    axes: Axes, corner: tuple[float, float], end: tuple[float, int], name: str, look: Look
) -> None:
    """Lead from a rank on the axis down and to one end, and write there whose it is."""
    (x, y), (edge, toward) = corner, end
    axes.plot([x, x, edge], [_AXIS, y, y], color=look.color, linewidth=0.9)
    axes.plot(x, _AXIS, **panels.line(look))
    axes.text(
        edge + 0.05 * toward, y, name, ha="right" if toward < 0 else "left", va="center", fontsize=7
    )


def _handles(analysis: Analysis, diagrams: Sequence[Diagram]) -> list[Artist]:
    """Return what bars, marks side by side and daggers mean."""
    group = Line2D([], [], **_GROUP, label=f"not distinguishable (Nemenyi, {ALPHA:.0%})")
    critical = Line2D([], [], **_THIN, marker="|", label="CD: critical difference")
    ties = any(len(set(one.ranks.mean.values())) < len(one.ranks.mean) for one in diagrams)
    tied = [Line2D([], [], linestyle="none", label="side by side: equal ranks")] if ties else []
    return [group, critical, *tied, *panels.dagger_handle(analysis)]
