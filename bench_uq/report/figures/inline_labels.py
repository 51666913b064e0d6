"""Names of lines, written on the lines themselves where there is room."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from bench_uq.report.figures.style import Options

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


def write_beside(
    axes: Axes, x: np.ndarray, lines: Mapping[str, np.ndarray], size: tuple[float, float]
) -> None:
    """Write the name of each line where it is highest, or the next highest place that is free.

    ``size`` is that of the panel in inches. A name that finds no place is left out: its line is seen without it.
    """
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    taken: list[tuple[float, float, float]] = []
    for name, y in lines.items():
        width = _LETTER * (len(name) + 1)
        for place in np.argsort(-y, kind="stable"):
            across = (x[place] - left) / (right - left) * size[0]
            # Where a line runs along the edge its name stands just inside.
            up = min(
                max((y[place] - low) / (high - low) * size[1], 0.6 * _LINE), size[1] - 0.6 * _LINE
            )
            if width / 2 < across < size[0] - width / 2 and all(
                abs(across - other) > (width + wide) / 2 or abs(up - height) > _LINE
                for other, height, wide in taken
            ):
                axes.text(x[place], low + up / size[1] * (high - low), name, **_STYLE)
                taken.append((across, up, width))
                break
