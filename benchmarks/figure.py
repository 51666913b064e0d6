"""The figures of docs/performance.md, from the CSV files in benchmarks/measured.

Ratios of steps and of predictions, time against size, and the time to score.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import predict, steps
from benchmarks.rounds import Limits

MEASURED, FIGURES = Path("benchmarks/measured"), Path("docs/figures")
OURS, THEIRS, AIM, TOGETHER = "#0072b2", "#999999", "#d55e00", "#009e73"

#: Subjects of benchmarks/score.py, in words.
SCORED = {
    "all": "all metrics and curves",
    "all, against clean": "all, and stress told from clean",
    "ece": "ECE of bench-uq",
    "netcal ECE": "ECE of netcal",
    "torchmetrics ECE": "ECE of torchmetrics",
}


def draw(axes: Axes, table: pd.DataFrame, limits: Limits, title: str) -> None:
    """Draw each subject's median ratio, its range over the rounds, and its limit."""
    table = table.iloc[::-1].reset_index(drop=True)
    for place, (_, row) in enumerate(table.iterrows()):
        ours = row["subject"].split("[")[0] in steps.METHODS
        colour = OURS if ours else THEIRS
        axes.plot([row["lowest"], row["highest"]], [place, place], color=colour, linewidth=1.5)
        axes.plot(row["ratio"], place, "o", color=colour)

        limit = limits.get((row["subject"], row["against"]))
        if limit is not None:
            axes.plot(limit, place, "|", color=AIM, markersize=14, markeredgewidth=2)

    axes.axvline(1, color="#cccccc", linewidth=1, zorder=0)
    axes.set_yticks(range(len(table)), table["subject"])
    axes.set_xlim(left=0)
    bare(axes, title)


def bare(axes: Axes, title: str) -> None:
    """Set the title, and draw no frame but the two axes."""
    axes.set_title(title, loc="left", fontsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def apart(places: np.ndarray, gap: float) -> np.ndarray:
    """Move labels until neighbours are at least a gap apart; their mean stays."""
    order = np.argsort(places)
    steps_up = gap * np.arange(len(places))
    moved = np.maximum.accumulate(places[order] - steps_up) + steps_up
    moved -= (moved - places[order]).mean()
    return moved[np.argsort(order)]


def grow(axes: Axes, table: pd.DataFrame, title: str) -> None:
    """Draw time against size per method, and lines of slope 1: twice the size, twice the time."""
    series = list(table.groupby(["what", "method"], sort=False))
    last = [part["milliseconds"].iloc[-1] for _, part in series]
    heights = apart(np.log10(last), 0.17)

    for ((what, method), part), height in zip(series, heights, strict=True):
        size, time = part["size"].to_numpy(), part["milliseconds"].to_numpy()
        colour, style, kind = OURS, "-", ""
        if str(what).endswith("together"):
            colour, style, kind = TOGETHER, "--", " together"

        exponent = np.polyfit(np.log(size), np.log(time), 1)[0]
        axes.plot(size, time[0] * size / size[0], color="#bbbbbb", linewidth=0.8, zorder=0)
        axes.plot(size, time, style, marker="o", markersize=4, color=colour, linewidth=1.5)
        label = f"{method}{kind}  {exponent:.2f}"
        axes.text(size[-1] * 1.12, 10**height, label, color=colour, va="center", fontsize=9)

    sizes = sorted(set(table["size"]))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set_xlim(right=sizes[-1] * 4.5)
    axes.set_yticks([30, 100, 300, 1000, 3000])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:,.0f} ms")
    bare(axes, title)
    axes.spines["bottom"].set_bounds(sizes[0], sizes[-1])  # the labels stand to the right of it


def legend(figure: Figure, axes: Axes) -> None:
    """Put the legend of some axes below the whole figure."""
    entries = axes.get_legend_handles_labels()
    figure.legend(*entries, loc="outside lower center", ncols=3, frameon=False, fontsize=9)


def performance() -> None:
    """Draw the cost of steps and draws, in ratio to a user's alternatives."""
    step = pd.read_csv(MEASURED / "steps.csv")
    lenet = (step["benchmark"] == "step lenet") & (step["against"] == "plain")
    step = step[lenet & (step["subject"] != "plain")]
    passes = pd.read_csv(MEASURED / "predict.csv")

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 3.4), width_ratios=(3, 2), layout="constrained"
    )
    draw(left, step, steps.LIMITS, "a training step of LeNet, times plain PyTorch's")
    draw(right, passes, predict.LIMITS, "100 draws, times 100 single passes")

    left.plot([], [], "o-", color=OURS, label="bench-uq: median and range of the rounds")
    left.plot([], [], "o-", color=THEIRS, label="others")
    left.plot([], [], "|", color=AIM, markersize=12, markeredgewidth=2, ls="none", label="aim")
    legend(figure, left)
    save(figure, "performance.png")


def scale() -> None:
    """Draw time against seeds, members, training examples and draws."""
    table = pd.read_csv(MEASURED / "scale.csv")
    kinds = table["what"].str.removesuffix(" together")
    figure, axes = plt.subplots(2, 2, figsize=(11, 6), sharey=True, layout="constrained")
    whats = ("seeds", "members", "training examples", "draws")
    for place, what in zip(axes.flat, whats, strict=True):
        grow(place, table[kinds == what], f"time against {what}, and the slope")

    first = axes[0, 0]
    slope = "slope 1: twice the size, twice the time"
    first.plot([], [], color="#bbbbbb", linewidth=0.8, label=slope)
    first.plot([], [], "o-", markersize=4, color=OURS, label="one by one")
    first.plot([], [], "o--", markersize=4, color=TOGETHER, label="as one batch of networks")
    legend(figure, first)
    save(figure, "scale.png")


def score() -> None:
    """Draw the seconds in which a million predictions are scored."""
    table = pd.read_csv(MEASURED / "score.csv").set_index("subject")
    names = [name for name in SCORED if name in table.index][::-1]
    seconds = table["milliseconds"].loc[names] / 1000
    theirs = ("netcal ECE", "torchmetrics ECE")
    colours = [THEIRS if name in theirs else OURS for name in names]

    figure, axes = plt.subplots(figsize=(8, 2.4), layout="constrained")
    axes.barh([SCORED[name] for name in names], seconds, color=colours, height=0.6)
    for place, value in enumerate(seconds):
        axes.text(value + 0.03, place, f"{value:.2g} s", va="center", fontsize=9)
    axes.set_xlim(right=1.1 * seconds.max())
    axes.xaxis.set_major_formatter("{x:g} s")
    bare(axes, "time to score a million predictions of ten classes")
    save(figure, "score.png")


def save(figure: Figure, name: str) -> None:
    """Write a figure into the documentation."""
    figure.savefig(FIGURES / name, dpi=140)
    print(f"written: {FIGURES / name}")


def main() -> None:
    performance()
    scale()
    score()


if __name__ == "__main__":
    main()
