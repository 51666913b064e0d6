"""Accuracy after rejecting the least confident examples, under each attack and shift."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._images import spread
from bench_uq.report.figures._style import text, tidy
from bench_uq.report.looks import Look
from bench_uq.report.tables.captions import wrap
from bench_uq.score.analysis import Analysis
from bench_uq.score.stress import Family, kept_accuracy
from bench_uq.score.summaries import Curve

#: Panels in a row: no stress, and levels from the lowest to the highest.
_MOST = 4


def ends(analysis: Analysis) -> list[str]:
    """The ends of the names of all figures there may be."""
    return [one.name for one in analysis.families]


def draw(analysis: Analysis, looks: Mapping[str, Look], only: str = "") -> dict[str, Figure]:
    """Draw a figure per family of attacks or shifts, a panel per level.

    ``only`` is the end of the name of a single figure, empty for all.
    """
    figures = {}
    for one in analysis.families:
        if only not in ("", one.name):
            continue
        others = [level for level in one.levels if level != 0]
        # Without a level 0, clean data.
        where = [0.0 if 0 in one.levels else None, *spread(others, _MOST - 1)]

        curves, known = {}, False
        for method in analysis.methods:
            for level in where:
                family = None if level is None else one
                curve = kept_accuracy(analysis.results, method, family, level)
                curves[method, level] = curve
                known |= bool(level) and len(curve.x) > 0
        # Panels of no stress alone would show nothing of the family.
        if known:
            figures[one.name] = _figure(analysis, looks, one, curves)
    return figures


def _figure(
    analysis: Analysis,
    looks: Mapping[str, Look],
    one: Family,
    curves: Mapping[tuple[str, float | None], Curve],
) -> Figure:
    """Draw one family."""
    where = list(dict.fromkeys(level for _, level in curves))
    seeds = {}
    for name in analysis.methods:
        seeds[name] = _legend.fewest(curves[name, level] for level in where)

    rows, columns, width = _layout.shape(len(where))
    lines = wrap(text(analysis.label(one.title)), int(width * 13))
    handles = _legend.method_handles(analysis, seeds, looks)
    row = 1.7 + _layout.named_below(1)
    figure = _layout.sheet(width, 0.3 + row * rows + 0.14 * len(lines), handles)
    figure.suptitle("\n".join(lines), fontsize=8)

    names = ("share rejected", "accuracy of accepted")
    panels = _layout.grid(figure, len(where), columns, names)
    for axes, level in zip(panels, where, strict=True):
        level_name = analysis.level_name(one.name)
        axes.set_title("clean" if level is None else f"{level_name} = {level:g}")
        for place, method in enumerate(analysis.methods):
            _legend.draw_curve(axes, curves[method, level], place, looks[method])
        axes.set(xlim=(-0.02, 0.92), ylim=(-0.02, 1.02))
        tidy(axes)
    return figure
