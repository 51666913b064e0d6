"""The curves of a page as data for its script: charts of lines, one a method, that rest on means over the seeds."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench_uq.report.page.lines import UNIT, Chart, Grids, line_of, mean_lines, short
from bench_uq.report.page.stress_charts import by_level, refusal
from bench_uq.report.tables.captions import level_name
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import (
    Curve,
    Shown,
    band_seed,
    curve_table,
    reliability,
)

#: Bins with a smaller share of the examples are drawn hollow, because chance rules them.
_FEW = 0.01
#: The curves over a single input.
_BANDS = ("mean", "std", "target")


def charts(analysis: Analysis) -> dict[str, Any]:
    """Return the charts of each dataset, and the grids that their lines name by their places."""
    grids = Grids()
    found = [_charts(analysis.on(dataset), grids) for dataset in analysis.datasets]
    order = {method: place for place, method in enumerate(analysis.methods)}
    for chart in (chart for one in found for chart in one):
        chart["lines"] = [{**line, "method": order[line["method"]]} for line in chart["lines"]]
    return {"charts": found, "grids": grids.all}


def _charts(analysis: Analysis, grids: Grids) -> list[Chart]:
    """Return the charts of one dataset that hold a line."""
    highest = analysis.highest_entropy
    found = [
        *by_level(analysis, grids, highest),
        *(_entropy(analysis, grids, where, highest) for where in analysis.shown),
        _reliability(analysis, grids),
        *_selective(analysis, grids),
        *refusal(analysis, grids),
        *_bands(analysis, grids),
        *_training(analysis, grids),
    ]
    return [chart for chart in found if chart["lines"]]


def _entropy(analysis: Analysis, grids: Grids, where: Shown, highest: float | None) -> Chart:
    """Return the chart of the share of examples of at most that entropy."""
    condition, level = where
    name = "clean data" if condition == "clean" else condition
    name = name if level is None else f"{name}, {level_name(condition)} = {level:g}"
    return {
        "section": "Entropy of the predictions",
        "title": f"Entropy on {name}",
        "x": "entropy x (nats)",
        "y": "share of examples ≤ x",
        "range": UNIT,
        "lines": mean_lines(analysis, grids, "entropy_ecdf", where),
        "marks": [] if highest is None else [{"axis": "x", "at": highest, "name": "ln C"}],
    }


def _reliability(analysis: Analysis, grids: Grids) -> Chart:
    """Return the chart of accuracy by confidence on clean data, bins of few examples marked."""
    lines = []
    for method in analysis.methods:
        bins, seeds = reliability(analysis.results, method)
        if seeds:
            few = [place for place, share in enumerate(bins["share"]) if share < _FEW]
            curve = Curve(
                bins["confidence"].to_numpy(float), bins["accuracy"].to_numpy(float), seeds
            )
            lines.append({**line_of(method, grids, curve), "hollow": few})
    return {
        "section": "Calibration and selection, clean data",
        "title": "Reliability",
        "x": "confidence",
        "y": "accuracy",
        "range": UNIT,
        "domain": UNIT,
        "diagonal": True,
        "points": True,
        "note": f"bins of all seeds pooled; hollow: under {_FEW:.0%} of the examples; diagonal: perfect calibration",
        "lines": lines,
    }


def _selective(analysis: Analysis, grids: Grids) -> list[Chart]:
    """Return the charts of clean data that leave the least sure examples out."""
    titles = {
        "risk_coverage": (
            "Risk by coverage",
            "coverage (share of most confident examples)",
            "error rate",
        ),
        "accuracy_confidence": ("Accuracy by least confidence", "confidence at least", "accuracy"),
    }
    return [
        {
            "section": "Calibration and selection, clean data",
            "title": title,
            "x": x,
            "y": y,
            "lines": mean_lines(analysis, grids, name, ("clean", None)),
        }
        for name, (title, x, y) in titles.items()
    ]


def _training(analysis: Analysis, grids: Grids) -> list[Chart]:
    """Return the charts of loss and KL/N by epoch; a method without a KL has no line there."""
    titles = {"training_loss": ("Training loss", "loss"), "training_kl": ("KL / N", "KL / N")}
    found = []
    for name, (title, axis) in titles.items():
        lines = mean_lines(analysis, grids, name, ("train", None))
        if name == "training_kl":
            lines = [line for line in lines if any(value and value > 0 for value in line["y"])]
        chart = {
            "section": "Training",
            "title": title,
            "x": "epoch",
            "y": f"{axis} (nats per example)",
            "lines": lines,
        }
        found.append({**chart, "log": True})
    return found


def _bands(analysis: Analysis, grids: Grids) -> list[Chart]:
    """Return mean and two standard deviations by a single input, of one seed: seeds may differ in their examples."""
    seed = band_seed(analysis.results)
    if seed is None:
        return []
    lines = []
    for method in analysis.methods:
        tables = [
            curve_table(analysis.results, f"regression_{part}", method, ("clean", None))
            for part in _BANDS
        ]
        if seed in tables[0]:
            table = pd.DataFrame(
                {part: one.get(seed) for part, one in zip(_BANDS, tables, strict=True)}, dtype=float
            )
            table = table.dropna(subset="mean")
            line = line_of(
                method, grids, Curve(table.index.to_numpy(float), table["mean"].to_numpy(float), 1)
            )
            band = {
                "low": table["mean"] - 2 * table["std"],
                "high": table["mean"] + 2 * table["std"],
            }
            line |= {
                part: short(values) for part, values in {**band, "beside": table["target"]}.items()
            }
            lines.append(line)
    chart = {
        "section": "Predictions",
        "title": f"Mean ± 2 standard deviations, seed {seed}",
        "x": "input x",
    }
    return [{**chart, "y": "target y", "lines": lines, "one": True, "note": "dashed: test targets"}]
