"""Lines of the charts of a page: shared grids, and numbers as short as a screen can show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import Curve, Shown, mean_curve

Chart = dict[str, Any]

#: The range of a share.
UNIT = [0, 1]


class Grids:
    """The places x of all curves, each grid once: most curves share theirs."""

    def __init__(self) -> None:
        self.all: list[list[float | None]] = []
        # By full digits: two grids may differ beyond those that are written.
        self._places: dict[tuple[float, ...], int] = {}

    def place(self, x: Iterable[float]) -> int:
        """The number of a grid, after adding it if it is new."""
        grid = tuple(x)
        if grid not in self._places:
            self._places[grid] = len(self.all)
            self.all.append(short(grid, 6))
        return self._places[grid]


def mean_lines(analysis: Analysis, grids: Grids, name: str, where: Shown) -> list[dict[str, Any]]:
    """The mean curve of each method that has it."""
    lines = []
    for method in analysis.methods:
        curve = mean_curve(analysis.results, name, method, where)
        if len(curve.x):
            lines.append(line_of(method, grids, curve))
    return lines


def line_of(method: str, grids: Grids, curve: Curve) -> dict[str, Any]:
    """One curve as a line."""
    return {"method": method, "x": grids.place(curve.x), "y": short(curve.y), "seeds": curve.seeds}


def short(values: Iterable[float], digits: int = 4) -> list[float | None]:
    """Numbers with the digits that a line on a screen can show, None for missing values."""
    found: list[float | None] = []
    for value in values:
        if np.isfinite(value):
            found.append(float(f"{value:.{digits}g}"))
        else:
            # JSON has neither NaN nor infinity.
            found.append(None)
    return found
