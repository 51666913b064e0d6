"""The curves of a page as data for its script: charts of lines, one a method, that rest on means over the seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench_uq.report.captions import ARROWS, level_name
from bench_uq.report.cells import TITLES
from bench_uq.report.frames import BESIDE, Results
from bench_uq.report.summaries import (
    Curve,
    Shown,
    Summary,
    band_seed,
    curve_table,
    directions,
    highest_entropy,
    levels,
    mean_curve,
    reliability,
    shown,
    summarise,
)
from bench_uq.report.tables import LEVEL_AXES

Chart = dict[str, Any]

#: Bins with a smaller share of the examples are drawn hollow, because chance rules them.
_FEW = 0.01
_UNIT = [0, 1]
#: The curves over a single input.
_BANDS = ("mean", "std", "target")


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
            self.all.append(_short(grid, 6))
        return self._places[grid]


def charts(results: Results) -> dict[str, Any]:
    """Return the charts of each dataset, and the grids that their lines name by their places."""
    grids = Grids()
    found = [_charts(results.on(dataset), grids) for dataset in results.datasets]
    order = {method: place for place, method in enumerate(results.methods)}
    for chart in (chart for one in found for chart in one):
        chart["lines"] = [{**line, "method": order[line["method"]]} for line in chart["lines"]]
    return {"charts": found, "grids": grids.all}


def _charts(results: Results, grids: Grids) -> list[Chart]:
    """Return the charts of one dataset that hold a line."""
    highest = highest_entropy(results)
    found = [
        *_by_level(results, grids, highest),
        *(_entropy(results, grids, where, highest) for where in shown(results)),
        _reliability(results, grids),
        *_selective(results, grids),
        *_bands(results, grids),
        *_training(results, grids),
    ]
    return [chart for chart in found if chart["lines"]]


def _by_level(results: Results, grids: Grids, highest: float | None) -> list[Chart]:
    """Return a chart for each condition with levels and score, with the range over the seeds as a band."""
    found = []
    for condition, values in levels(results).items():
        for metric, axis in LEVEL_AXES.items():
            lines = _level_lines(results, grids, condition, values, metric)
            chart = {
                "section": f"Scores under {condition}",
                "title": " ".join(TITLES[metric].split()) + ARROWS[directions()[metric]],
                "x": f"{level_name(condition)} of {condition}",
                "y": axis,
                "lines": lines,
                "marks": _chance(metric, highest),
                "note": "dashed: a perfectly calibrated model" if metric in BESIDE else "",
            }
            found.append(chart | ({"range": _UNIT} if metric in ("accuracy", "picp") else {}))
    return found


def _level_lines(
    results: Results, grids: Grids, condition: str, values: Sequence[float], metric: str
) -> list[dict[str, Any]]:
    """Return the line of each method that has the score at some level; a hole is a gap in the line."""
    summaries, lines = summarise(results), []
    for method in results.methods:
        found = [summaries.get((method, condition, level, metric)) for level in values]
        if any(found):
            line = _range_line(method, grids.place(values), found)
            if metric in BESIDE:
                beside = [summaries.get((method, condition, level, BESIDE[metric])) for level in values]
                line["beside"] = _short([one.mean if one else math.nan for one in beside])
            lines.append(line)
    return lines


def _range_line(method: str, grid: int, found: Sequence[Summary | None]) -> dict[str, Any]:
    """Return means with the lowest and highest seed, and the fewest seeds that one of them rests on."""
    line = {
        part: _short([getattr(one, name) if one else math.nan for one in found])
        for part, name in {"y": "mean", "low": "low", "high": "high"}.items()
    }
    return {"method": method, "x": grid, **line, "seeds": min(one.seeds for one in found if one)}


def _chance(metric: str, highest: float | None) -> list[dict[str, Any]]:
    """Mark what chance gives: 1/C right, ln C of entropy, and half of all pairs told apart."""
    if metric == "auroc_entropy":
        return [{"axis": "y", "at": 0.5, "name": "chance"}]
    if highest is None or metric not in ("accuracy", "entropy"):
        return []
    place, name = (math.exp(-highest), "1/C") if metric == "accuracy" else (highest, "ln C")
    return [{"axis": "y", "at": place, "name": name}]


def _entropy(results: Results, grids: Grids, where: Shown, highest: float | None) -> Chart:
    """Return the chart of the share of examples of at most that entropy."""
    condition, level = where
    name = "clean data" if condition == "clean" else condition
    name = name if level is None else f"{name}, {level_name(condition)} = {level:g}"
    return {
        "section": "Entropy of the predictions",
        "title": f"Entropy on {name}",
        "x": "entropy x (nats)",
        "y": "share of examples ≤ x",
        "range": _UNIT,
        "lines": _mean_lines(results, grids, "entropy_ecdf", where),
        "marks": [] if highest is None else [{"axis": "x", "at": highest, "name": "ln C"}],
    }


def _reliability(results: Results, grids: Grids) -> Chart:
    """Return the chart of accuracy by confidence on clean data, bins of few examples marked."""
    lines = []
    for method in results.methods:
        bins, seeds = reliability(results, method)
        if seeds:
            few = [place for place, share in enumerate(bins["share"]) if share < _FEW]
            curve = Curve(bins["confidence"].to_numpy(float), bins["accuracy"].to_numpy(float), seeds)
            lines.append({**_line(method, grids, curve), "hollow": few})
    return {
        "section": "Calibration and selection, clean data",
        "title": "Reliability",
        "x": "confidence",
        "y": "accuracy",
        "range": _UNIT,
        "domain": _UNIT,
        "diagonal": True,
        "points": True,
        "note": f"bins of all seeds pooled; hollow: under {_FEW:.0%} of the examples; diagonal: perfect calibration",
        "lines": lines,
    }


def _selective(results: Results, grids: Grids) -> list[Chart]:
    """Return the charts of clean data that leave the least sure examples out."""
    titles = {
        "risk_coverage": ("Risk by coverage", "coverage (share of most confident examples)", "error rate"),
        "accuracy_confidence": ("Accuracy by least confidence", "confidence at least", "accuracy"),
    }
    return [
        {
            "section": "Calibration and selection, clean data",
            "title": title,
            "x": x,
            "y": y,
            "lines": _mean_lines(results, grids, name, ("clean", None)),
        }
        for name, (title, x, y) in titles.items()
    ]


def _training(results: Results, grids: Grids) -> list[Chart]:
    """Return the charts of loss and KL/N by epoch; a method without a KL has no line there."""
    titles = {"training_loss": ("Training loss", "loss"), "training_kl": ("KL / N", "KL / N")}
    found = []
    for name, (title, axis) in titles.items():
        lines = _mean_lines(results, grids, name, ("train", None))
        if name == "training_kl":
            lines = [line for line in lines if any(value and value > 0 for value in line["y"])]
        chart = {"section": "Training", "title": title, "x": "epoch", "y": f"{axis} (nats per example)", "lines": lines}
        found.append({**chart, "log": True})
    return found


def _bands(results: Results, grids: Grids) -> list[Chart]:
    """Return mean and two standard deviations by a single input, of one seed: seeds may differ in their examples."""
    seed = band_seed(results)
    if seed is None:
        return []
    lines = []
    for method in results.methods:
        tables = [curve_table(results, f"regression_{part}", method, ("clean", None)) for part in _BANDS]
        if seed in tables[0]:
            table = pd.DataFrame({part: one.get(seed) for part, one in zip(_BANDS, tables, strict=True)}, dtype=float)
            table = table.dropna(subset="mean")
            line = _line(method, grids, Curve(table.index.to_numpy(float), table["mean"].to_numpy(float), 1))
            band = {"low": table["mean"] - 2 * table["std"], "high": table["mean"] + 2 * table["std"]}
            line |= {part: _short(values) for part, values in {**band, "beside": table["target"]}.items()}
            lines.append(line)
    chart = {"section": "Predictions", "title": f"Mean ± 2 standard deviations, seed {seed}", "x": "input x"}
    return [{**chart, "y": "target y", "lines": lines, "one": True, "note": "dashed: test targets"}]


def _mean_lines(results: Results, grids: Grids, name: str, where: Shown) -> list[dict[str, Any]]:
    """Return the mean curve of each method that has it."""
    found = {method: mean_curve(results, name, method, where) for method in results.methods}
    return [_line(method, grids, curve) for method, curve in found.items() if len(curve.x)]


def _line(method: str, grids: Grids, curve: Curve) -> dict[str, Any]:
    """Return one curve as a line."""
    return {"method": method, "x": grids.place(curve.x), "y": _short(curve.y), "seeds": curve.seeds}


def _short(values: Iterable[float], digits: int = 4) -> list[float | None]:
    """Return numbers with the digits that a line on a screen can show, a hole where there is none."""
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in values]
