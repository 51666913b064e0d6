"""Names of lines, written on the lines themselves if there is room."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from bench_uq.report.figures._style import Options

#: Inches that a letter takes, and a line of text.
_LETTER, _LINE = 0.065, 0.12
_STYLE: Options = {
    "fontsize": 7,
    "color": "#222222",
    "ha": "center",
    "va": "center_baseline",
    "bbox": {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
    "zorder": 4,
}

#: Middle and width of a name, in inches.
Taken = tuple[float, float, float]


def write_beside(
    axes: Axes, x: np.ndarray, lines: Mapping[str, np.ndarray], size: tuple[float, float]
) -> None:
    """Write the name of each line at its highest free place.

    ``size`` is that of the panel in inches. A name that finds no place is left out.
    """
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    taken: list[Taken] = []

    for name, y in lines.items():
        width = _LETTER * (len(name) + 1)

        # A stable sort: equal heights, such as probabilities of one, would else be tried in an
        # order that depends on the machine.
        for place in np.argsort(-y, kind="stable"):
            across = (x[place] - left) / (right - left) * size[0]
            # Where a line runs along the edge its name stands just inside.
            up = (y[place] - low) / (high - low) * size[1]
            up = min(max(up, 0.6 * _LINE), size[1] - 0.6 * _LINE)

            if width / 2 < across < size[0] - width / 2 and _is_free((across, up, width), taken):
                axes.text(x[place], low + up / size[1] * (high - low), name, **_STYLE)
                taken.append((across, up, width))
                break


def _is_free(place: Taken, taken: list[Taken]) -> bool:
    """Whether a name overlaps no other."""
    across, up, width = place
    for other, height, wide in taken:
        if abs(across - other) <= (width + wide) / 2 and abs(up - height) <= _LINE:
            return False
    return True
