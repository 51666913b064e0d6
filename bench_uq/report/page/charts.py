"""The curves of a page as data for its script: charts with a line per method, means over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench_uq.report.page.lines import UNIT, Chart, Grids, line_of, mean_lines, short
from bench_uq.report.page.stress_charts import at_middle, by_level, rejection
from bench_uq.score.analysis import Analysis
from bench_uq.score.summaries import Curve, Shown, band_seed, curve_table, reliability

#: Bins with a smaller share of the examples are drawn hollow, because they are mostly chance.
_FEW = 0.01
_ON_CLEAN = "Calibration and selection, clean data"
_UNDER_STRESS = "Calibration under attacks and shifts"
#: Title and axes of the curves on clean data when the least confident examples are rejected.
_SELECTIVE = {
    "risk_coverage": (
        "Risk by coverage",
        "coverage (share of most confident examples)",
        "error rate",
    ),
    "accuracy_confidence": ("Accuracy by confidence threshold", "confidence at least", "accuracy"),
}


def chart_data(analysis: Analysis) -> dict[str, Any]:
    """The charts of each dataset, and the grids that their lines name by number."""
    grids, found = Grids(), []
    for dataset in analysis.datasets:
        charts = _charts(analysis.on(dataset), grids)
        for chart in charts:
            # The script looks methods up by number, among those of all datasets.
            for line in chart["lines"]:
                line["method"] = analysis.methods.index(line["method"])
        found.append(charts)
    return {"charts": found, "grids": grids.all}


def _charts(analysis: Analysis, grids: Grids) -> list[Chart]:
    """The charts of one dataset that have a line."""
    found = by_level(analysis, grids)
    for where in analysis.shown_with("entropy_ecdf"):
        found.append(_entropy(analysis, grids, where))
    found.append(_reliability(analysis, grids))
    found += _selective(analysis, grids)
    found += _reliability_under_stress(analysis, grids)
    found += rejection(analysis, grids)
    found += _bands(analysis, grids)
    found += _training(analysis, grids)
    found.append(_tuning(analysis, grids))
    return [chart for chart in found if chart["lines"]]


def _entropy(analysis: Analysis, grids: Grids, where: Shown) -> Chart:
    """The share of examples of at most an entropy."""
    condition, level = where
    name = analysis.label(condition)
    if condition == "clean":
        name = "clean data"
    if level is not None:
        name += f", {analysis.level_name(condition)} = {level:g}"

    marks = list[dict[str, Any]]()
    if analysis.highest_entropy is not None:
        marks.append({"axis": "x", "at": analysis.highest_entropy, "name": "ln C"})
    return {
        "section": "Entropy of the predictions",
        "title": f"Entropy on {name}",
        "x": "entropy x (nats)",
        "y": "share of examples ≤ x",
        "range": UNIT,
        "lines": mean_lines(analysis, grids, "entropy_ecdf", where),
        "marks": marks,
    }


def _reliability(
    analysis: Analysis,
    grids: Grids,
    places: Sequence[Shown] = (("clean", None),),
    title: str = "Reliability",
    section: str = _ON_CLEAN,
) -> Chart:
    """Accuracy by confidence, bins of few examples marked."""
    lines = []
    for method in analysis.methods:
        bins, seeds = reliability(analysis.results, method, places)
        if seeds:
            confidence, accuracy = bins["confidence"].to_numpy(), bins["accuracy"].to_numpy()
            line = line_of(method, grids, Curve(confidence, accuracy, seeds))
            line["hollow"] = np.flatnonzero(bins["share"] < _FEW).tolist()
            lines.append(line)

    hollow = f"hollow: under {_FEW:.0%} of the examples"
    return {
        "section": section,
        "title": title,
        "x": "confidence",
        "y": "accuracy",
        "range": UNIT,
        "domain": UNIT,
        "diagonal": True,
        "points": True,
        "note": f"bins of all seeds pooled; {hollow}; diagonal: perfect calibration",
        "lines": lines,
    }


def _reliability_under_stress(analysis: Analysis, grids: Grids) -> list[Chart]:
    """Accuracy by confidence under each attack or shift at its middle level."""
    found = []
    for one in analysis.families:
        level, title = at_middle(analysis, one)
        places = [(member, level) for member in one.members]
        found.append(_reliability(analysis, grids, places, title, _UNDER_STRESS))
    return found


def _selective(analysis: Analysis, grids: Grids) -> list[Chart]:
    """Error rate and accuracy on clean data when the least confident examples are rejected."""
    found = []
    for name, (title, x, y) in _SELECTIVE.items():
        lines = mean_lines(analysis, grids, name, ("clean", None))
        found.append({"section": _ON_CLEAN, "title": title, "x": x, "y": y, "lines": lines})
    return found


def _training(analysis: Analysis, grids: Grids) -> list[Chart]:
    """Loss and KL/N by epoch; a method without a KL term has no line there."""
    titles = {"training_loss": ("Training loss", "loss"), "training_kl": ("KL / N", "KL / N")}

    found = []
    for name, (title, axis) in titles.items():
        lines = mean_lines(analysis, grids, name, ("train", None))
        if name == "training_kl":
            # A method without the term has zeros or holes, and a logarithmic axis neither.
            lines = [line for line in lines if max(filter(None, line["y"]), default=0) > 0]
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


def _tuning(analysis: Analysis, grids: Grids) -> Chart:
    """The expected lowest validation NLL by the number of trials, with the range over studies."""
    lines, most = [], 0
    for one in analysis.tuning:
        curve = one.best_curve()
        most = max(most, len(one.studies))
        # Of trials that may all have failed no expectation is given.
        if not np.isfinite(curve.mean).any():
            continue
        line = {"method": one.name, "x": grids.place(curve.trials), "y": short(curve.mean)}
        line |= {"low": short(curve.low), "high": short(curve.high)}
        lines.append(line)

    rests = "1 study"
    if most > 1:
        rests = f"mean and range over {most} studies"
    return {
        "section": "Tuning",
        "title": "Expected lowest validation NLL",
        "x": "trials in a study",
        "y": "validation NLL (nats)",
        "log": True,
        "lines": lines,
        "rests": rests,
    }


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

        # A curve that was not stored becomes a column of NaN.
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
