"""The figure of docs/performance.md, from the CSV files in benchmarks/measured: ratios of steps and of predictions.

python -m benchmarks.figure
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks import predict, steps

MEASURED = Path("benchmarks/measured")
OURS, THEIRS, AIM = "#0072b2", "#999999", "#d55e00"


def draw(axes: Axes, table: pd.DataFrame, limits: dict[tuple[str, str], float], title: str) -> None:
    """Draw the median ratio of each subject with its range over the rounds, and what it is to stay below."""
    table = table.iloc[::-1].reset_index(drop=True)
    for place, row in table.iterrows():
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
    axes.set_title(title, loc="left", fontsize=10)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def main() -> None:
    step = pd.read_csv(MEASURED / "steps.csv")
    step = step[(step["benchmark"] == "step lenet") & (step["against"] == "plain") & (step["subject"] != "plain")]
    passes = pd.read_csv(MEASURED / "predict.csv")
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.4), width_ratios=(3, 2), layout="constrained")
    draw(left, step, steps.LIMITS, "a training step of LeNet, times plain PyTorch's")
    draw(right, passes, predict.LIMITS, "100 draws, times 100 single passes")
    left.plot([], [], "o-", color=OURS, label="bench-uq: median and range of the rounds")
    left.plot([], [], "o-", color=THEIRS, label="others")
    left.plot([], [], "|", color=AIM, markersize=12, markeredgewidth=2, linestyle="none", label="aim")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.savefig("docs/figures/performance.png", dpi=140)
    print("written: docs/figures/performance.png")


if __name__ == "__main__":
    main()
