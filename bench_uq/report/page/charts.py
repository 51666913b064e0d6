"""The curves of a page as data for its script: charts with a line per method, means over seeds."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench_uq.report.page.lines import UNIT, Chart, Grids, line_of, mean_lines, short
from bench_uq.report.page.stress_charts import by_level, rejection
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import Curve, Shown, band_seed, curve_table, reliability

#: Bins with a smaller share of the examples are drawn hollow, because they are mostly chance.
_FEW = 0.01
_ON_CLEAN = "Calibration and selection, clean data"


def chart_data(analysis: Analysis) -> dict[str, Any]:
    """The charts of each dataset, and the grids that their lines name by number."""
    grids, found = Grids(), []
    order = {method: place for place, method in enumerate(analysis.methods)}
    for dataset in analysis.datasets:
        charts = _charts(analysis.on(dataset), grids)
        for chart in charts:
            chart["lines"] = [{**line, "method": order[line["method"]]} for line in chart["lines"]]
        found.append(charts)
    return {"charts": found, "grids": grids.all}


def _charts(analysis: Analysis, grids: Grids) -> list[Chart]:
    """The charts of one dataset that have a line."""
    found = by_level(analysis, grids)
    found += [_entropy(analysis, grids, where) for where in analysis.shown]
    found.append(_reliability(analysis, grids))
    found += _selective(analysis, grids)
    found += rejection(analysis, grids)
    found += _bands(analysis, grids)
    found += _training(analysis, grids)
    return [chart for chart in found if chart["lines"]]


def _entropy(analysis: Analysis, grids: Grids, where: Shown) -> Chart:
    """The share of examples of at most an entropy."""
    condition, level = where
    name = "clean data" if condition == "clean" else condition
    if level is not None:
        name += f", {analysis.level_name(condition)} = {level:g}"
    highest = analysis.highest_entropy
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
    """Accuracy by confidence on clean data, bins of few examples marked."""
    lines = []
    for method in analysis.methods:
        bins, seeds = reliability(analysis.results, method)
        if seeds:
            confidence, accuracy = bins["confidence"].to_numpy(), bins["accuracy"].to_numpy()
            line = line_of(method, grids, Curve(confidence, accuracy, seeds))
            few = [place for place, share in enumerate(bins["share"]) if share < _FEW]
            lines.append({**line, "hollow": few})
    hollow = f"hollow: under {_FEW:.0%} of the examples"
    return {
        "section": _ON_CLEAN,
        "title": "Reliability",
        "x": "confidence",
        "y": "accuracy",
        "range": UNIT,
        "domain": UNIT,
        "diagonal": True,
        "points": True,
        "note": f"bins of all seeds pooled; {hollow}; diagonal: perfect calibration",
        "lines": lines,
    }


def _selective(analysis: Analysis, grids: Grids) -> list[Chart]:
    """Error rate and accuracy on clean data when the least confident examples are rejected."""
    risk = {
        "section": _ON_CLEAN,
        "title": "Risk by coverage",
        "x": "coverage (share of most confident examples)",
        "y": "error rate",
        "lines": mean_lines(analysis, grids, "risk_coverage", ("clean", None)),
    }
    accuracy = {
        "section": _ON_CLEAN,
        "title": "Accuracy by confidence threshold",
        "x": "confidence at least",
        "y": "accuracy",
        "lines": mean_lines(analysis, grids, "accuracy_confidence", ("clean", None)),
    }
    return [risk, accuracy]


def _training(analysis: Analysis, grids: Grids) -> list[Chart]:
    """Loss and KL/N by epoch; a method without a KL term has no line there."""
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
            "log": True,
        }
        found.append(chart)
    return found


def _bands(analysis: Analysis, grids: Grids) -> list[Chart]:
    """Mean and two standard deviations by a single input, of one seed: seeds may differ."""
    seed = band_seed(analysis.results)
    if seed is None:
        return []
    lines = []
    for method in analysis.methods:
        parts = {}
        for part in ("mean", "std", "target"):
            name = f"regression_{part}"
            parts[part] = curve_table(analysis.results, name, method, ("clean", None)).get(seed)
        if parts["mean"] is None:
            continue

        table = pd.DataFrame(parts, dtype=float).dropna(subset="mean")
        curve = Curve(table.index.to_numpy(float), table["mean"].to_numpy(float), 1)
        line = line_of(method, grids, curve)
        line["low"] = short(table["mean"] - 2 * table["std"])
        line["high"] = short(table["mean"] + 2 * table["std"])
        line["beside"] = short(table["target"])
        lines.append(line)
    chart = {
        "section": "Predictions",
        "title": f"Mean ± 2 standard deviations, seed {seed}",
        "x": "input x",
        "y": "target y",
        "lines": lines,
        "one": True,
        "note": "dashed: test targets",
    }
    return [chart]
