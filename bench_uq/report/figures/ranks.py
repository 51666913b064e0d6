"""Critical-difference diagrams: mean ranks across datasets (Demšar 2006)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._style import Options, paper, text
from bench_uq.report.looks import Look
from bench_uq.report.tables.captions import wrap
from bench_uq.report.tables.ranks import clean_runs
from bench_uq.score.analysis import Analysis
from bench_uq.score.labels import ARROWS
from bench_uq.score.statistics import ALPHA, Ranks, cliques

#: The figure is one of a whole suite.
ACROSS_DATASETS = True

#: Inches of a line of text, a letter and the bar of a group, and from the top to the axis.
_LINE, _LETTER, _BAR, _AXIS = 0.125, 0.062, 0.075, 0.42
#: Inches of the number of a rank, with a gap.
_NUMBER = 0.15
#: Letters of a label in a line, at most, and inches of half an axis and of its gaps, at least.
_LETTERS, _MIDDLE = 30, 0.57
#: Inches between the marks of equal ranks.
_ASIDE = 0.06
_GROUP: Options = {"color": "#333333", "linewidth": 2.6, "solid_capstyle": "butt"}
_THIN: Options = {"color": "#333333", "linewidth": 0.8}


@dataclass(frozen=True)
class Diagram:
    """One metric: its heading, ranks, the labels of its methods, and a note on missing values."""

    heading: str
    ranks: Ranks
    labels: Mapping[str, str]
    left_out: str

    @property
    def ends(self) -> tuple[list[str], list[str]]:
        """The methods labelled at the left and at the right, from each end to the middle."""
        ordered = sorted(self.ranks.mean, key=lambda name: self.ranks.mean[name])
        half = math.ceil(len(ordered) / 2)
        return ordered[:half], ordered[: half - 1 : -1]

    @property
    def rows(self) -> list[float]:
        """The inches of each row of labels."""
        left, right = self.ends
        heights = []
        for row in range(len(left)):
            labels = [self.labels[end[row]] for end in (left, right) if row < len(end)]
            heights.append(_LINE * _layout.most_lines(labels) + 0.05)
        return heights

    @property
    def labels_top(self) -> float:
        """The inches to the labels, beneath the bars of the groups."""
        return _AXIS + 0.12 + _BAR * len(cliques(self.ranks))

    @property
    def title(self) -> str:
        """The metric, the datasets, and the p-value if it can be small enough."""
        count, datasets = len(self.ranks.mean), self.ranks.datasets
        # Even the first and the last of all methods would not differ significantly.
        if self.ranks.critical >= count - 1:
            return f"{self.heading}: inconclusive, {count} methods on {datasets} datasets"

        title = f"{self.heading}: mean ranks over {datasets} datasets"
        if math.isnan(self.ranks.p):
            return title
        if self.ranks.p < 0.001:
            return f"{title} (Friedman p < 0.001)"
        return f"{title} (Friedman p = {self.ranks.p:.3f})"


def draw(analysis: Analysis, looks: Mapping[str, Look]) -> dict[str, Figure]:
    """Draw a diagram per metric of the means on clean data."""
    diagrams = []
    for metric in analysis.cards.shown("rank_figure"):
        diagram = _diagram(analysis, metric)
        if diagram:
            diagrams.append(diagram)
    if not diagrams:
        return {}

    labels: list[str] = []
    for one in diagrams:
        labels += one.labels.values()
    longest = _layout.longest_line(labels)
    most = max(len(one.labels) for one in diagrams)
    title = _layout.longest_line(one.title for one in diagrams)
    width = _layout.width(fits=longest <= 14 and most <= 6 and title * _LETTER <= paper().column)

    notes, heights = [], []
    for one in diagrams:
        note = wrap(text(one.left_out), int(width / _LETTER)) if one.left_out else []
        notes.append("\n".join(note))
        heights.append(one.labels_top + sum(one.rows) + _LINE * len(note))

    titles = [wrap(one.title, int(width / _LETTER)) for one in diagrams]
    total = sum(heights) + 0.27 * len(heights) + 0.14 * (sum(map(len, titles)) - len(titles))
    figure = _layout.sheet(width, total, _handles(analysis, diagrams))
    grid = figure.add_gridspec(len(diagrams), 1, height_ratios=heights)
    for place, (one, height) in enumerate(zip(diagrams, heights, strict=True)):
        axes = figure.add_subplot(grid[place], xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
        axes.set_title("\n".join(titles[place]))
        _draw(axes, one, looks, longest * _LETTER + 0.12)
        axes.text(0, height, notes[place], va="bottom", color="#666666", fontsize=7)
    return {"": figure}


def _diagram(analysis: Analysis, metric: str) -> Diagram | None:
    """One metric; labels tell how many runs the means of a method rest on."""
    found = analysis.rankings.get(metric)
    if found is None or found.ranks is None:
        return None
    # The number of runs in a label counts the ranked datasets alone.
    own = analysis.with_runs_on(found.over)

    letters = min(_LETTERS, int((paper().page / 2 - _MIDDLE) / _LETTER))
    labels = {}
    for name, (scored, _) in clean_runs(analysis, metric, found).items():
        labels[name] = _legend.label(own, name, scored, letters, unit="runs")
    card = analysis.cards[metric]
    return Diagram(card.heading + ARROWS[card.direction], found.ranks, labels, str(found))


def _draw(axes: Axes, one: Diagram, looks: Mapping[str, Look], side: float) -> None:
    """Draw one diagram in inches, with that much room for labels at both ends."""
    width, count = axes.get_xlim()[1], len(one.ranks.mean)
    # The bar of a critical difference may be longer than the axis, but no longer than the panel.
    span = max(count - 1, one.ranks.critical)

    def place(rank: float) -> float:
        """Where a rank stands between the labels, the best at the left."""
        return side + 0.1 + (rank - 1) / span * (width - 2 * side - 0.2)

    x = {name: place(rank) + aside for name, rank, aside in _asides(one.ranks.mean)}
    ticks = list(map(place, range(1, count + 1)))
    axes.plot([ticks[0], ticks[-1]], [_AXIS, _AXIS], **_THIN)
    apart = (ticks[-1] - ticks[0]) / max(1, count - 1)
    step = math.ceil(_NUMBER / apart)
    for rank, tick in enumerate(ticks, start=1):
        axes.plot([tick, tick], [_AXIS - 0.04, _AXIS], **_THIN)
        if (rank - 1) % step:
            continue
        axes.text(tick, _AXIS - 0.05, str(rank), ha="center", va="bottom", fontsize=7)
    _critical(axes, ticks[0], place(1 + one.ranks.critical), one.ranks.critical)

    for row, group in enumerate(cliques(one.ranks)):
        ends = [x[group[0]] - 0.04, x[group[-1]] + 0.04]
        axes.plot(ends, [_AXIS + 0.1 + _BAR * row] * 2, **_GROUP)
    for names, end, toward in zip(one.ends, (side, width - side), (-1, 1), strict=True):
        top = one.labels_top
        for name, height in zip(names, one.rows, strict=False):
            corner = (x[name], top + height / 2)
            _label(axes, corner, (end, toward), one.labels[name], looks[name])
            top += height


def _asides(mean: Mapping[str, float]) -> list[tuple[str, float, float]]:
    """Each method, its mean rank, and the offset of its mark, so that ties do not overlap."""
    found = []
    for rank in sorted(set(mean.values())):
        tied = [name for name, own in mean.items() if own == rank]
        for place, name in enumerate(tied):
            found.append((name, rank, _ASIDE * (place - (len(tied) - 1) / 2)))
    return found


def _critical(axes: Axes, left: float, right: float, size: float) -> None:
    """Draw the critical difference."""
    axes.plot([left, left, left, right, right, right], [0.14, 0.2, 0.17, 0.17, 0.14, 0.2], **_THIN)
    axes.text(left, 0.13, f"CD = {size:.2f}", va="bottom", fontsize=7)


def _label(
    axes: Axes, corner: tuple[float, float], end: tuple[float, int], name: str, look: Look
) -> None:
    """Lead from a rank on the axis down and to one end, and write the method there."""
    (x, y), (edge, toward) = corner, end
    axes.plot([x, x, edge], [_AXIS, y, y], color=look.color, linewidth=0.9)
    axes.plot(x, _AXIS, **_legend.line(look))
    side = {-1: "right", 1: "left"}[toward]
    axes.text(edge + 0.05 * toward, y, name, ha=side, va="center", fontsize=7)


def _handles(analysis: Analysis, diagrams: Sequence[Diagram]) -> list[Artist]:
    """The meaning of bars, marks side by side and daggers."""
    bar = f"not significantly different (Nemenyi, {ALPHA * 100:.0f} %)"
    handles: list[Artist] = [
        Line2D([], [], **_GROUP, label=bar),
        Line2D([], [], **_THIN, marker="|", label="CD: critical difference"),
    ]

    if any(len(set(one.ranks.mean.values())) < len(one.ranks.mean) for one in diagrams):
        handles.append(_legend.words("side by side: equal ranks"))
    return handles + _legend.dagger_handle(analysis)
