"""A panel for each evaluated condition, in it a curve of each method."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench_uq.report.figures import _layout, _legend
from bench_uq.report.figures._style import tidy
from bench_uq.report.looks import Look
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import mean_curve

#: As many panels as a page holds beside the legend.
_MOST = 12


def draw(
    analysis: Analysis,
    looks: Mapping[str, Look],
    curve: str,
    names: tuple[str, str],
    finish: Callable[[Axes], None],
    *,
    common: str = "x",
) -> dict[str, Figure]:
    """Draw one curve of all methods in every condition that has it.

    ``names`` are those of x and y; ``finish`` has the last word on each panel.
    """
    curves = analysis.results.curves
    measured = set(curves.loc[curves["curve"] == curve, "condition"])
    # The order of ``shown`` keeps one condition of each family when there is no room for all.
    conditions = [where for where in analysis.shown_with(curve) if where[0] in measured]
    drawn = conditions[:_MOST]
    if not drawn:
        return {}

    found, seeds = {}, {}
    for method in analysis.methods:
        own = [mean_curve(analysis.results, curve, method, where) for where in drawn]
        # One legend serves all panels, so that its number of seeds is the lowest of them.
        found[method], seeds[method] = own, _legend.fewest(own)

    handles = _legend.method_handles(analysis, seeds, looks)
    handles += _legend.left_out(len(conditions) - len(drawn))

    letters = _layout.letters_in_title(len(drawn))
    titles = [_legend.shown_title(analysis, where, letters) for where in drawn]
    figure, panels = _layout.panels_of(titles, 1.5, handles, names, common=common)

    for number, axes in enumerate(panels):
        for place, method in enumerate(analysis.methods):
            _legend.draw_curve(axes, found[method][number], place, looks[method])
        finish(axes)
        tidy(axes)
    return {"": figure}
