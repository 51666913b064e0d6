"""Lines of the charts of a page: grids that they share, and numbers as short as a screen can show."""

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
        self._places: dict[tuple[float, ...], int] = {}

    def place(self, x: Iterable[float]) -> int:
        """Return where a grid stands, after adding it if it is new."""
        grid = tuple(x)
        if grid not in self._places:
            self._places[grid] = len(self.all)
            self.all.append(short(grid, 6))
        return self._places[grid]


def mean_lines(analysis: Analysis, grids: Grids, name: str, where: Shown) -> list[dict[str, Any]]:
    """Return the mean curve of each method that has it."""
    found = {
        method: mean_curve(analysis.results, name, method, where) for method in analysis.methods
    }
    return [line_of(method, grids, curve) for method, curve in found.items() if len(curve.x)]


def line_of(method: str, grids: Grids, curve: Curve) -> dict[str, Any]:
    """Return one curve as a line."""
    return {"method": method, "x": grids.place(curve.x), "y": short(curve.y), "seeds": curve.seeds}


def short(values: Iterable[float], digits: int = 4) -> list[float | None]:
    """Return numbers with the digits that a line on a screen can show, a hole where there is none."""
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in values]
