"""The figure of benchmarks/suite_size.py: seconds and memory of each stage against the runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from benchmarks.figure import apart, bare

mpl.use("Agg")
from matplotlib import pyplot as plt

#: Bytes that 10,000 runs may take at most, as the documentation promises.
MOST_MEMORY = 2e9


def lines(axes: Axes, curves: dict[str, list[float]], sizes: list[int], gap: float) -> None:
    """Draw curves against the number of runs, each with its title at its end."""
    ends = apart(np.log10([values[-1] for values in curves.values()]), gap)
    for number, ((title, values), end) in enumerate(zip(curves.items(), ends, strict=True)):
        color = plt.get_cmap("tab10")(number)
        arrow = {"arrowstyle": "-", "color": color, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3}
        axes.plot(sizes, values, "o-", color=color, markersize=4, linewidth=1.5)
        axes.annotate(
            title,
            (sizes[-1], values[-1]),
            (sizes[-1] * 1.25, 10**end),
            color=color,
            va="center",
            fontsize=9,
            arrowprops=arrow,
        )

    axes.set(xscale="log", yscale="log", xlabel="runs in the suite")
    axes.set_xticks(sizes, [f"{runs:,}" for runs in sizes])
    axes.minorticks_off()
    axes.set_xlim(sizes[0] * 0.9, sizes[-1] * (sizes[-1] / sizes[0]) ** 0.95 * 1.4)
    axes.spines["bottom"].set_bounds(sizes[0], sizes[-1])


def draw(
    found: Mapping[tuple[str, int], tuple[float, float]], titles: Mapping[str, str], path: Path
) -> None:
    """Draw seconds and memory of each stage against the number of runs."""
    sizes = sorted({runs for _, runs in found})
    seconds, megabytes = {}, {}
    for stage, title in titles.items():
        if stage != "start":
            seconds[title] = [found[stage, runs][0] for runs in sizes]
            megabytes[title] = [found[stage, runs][1] / 1e6 for runs in sizes]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    lines(left, seconds, sizes, 0.15)
    lines(right, megabytes, sizes, 0.058)

    grey = {"color": "#bbbbbb", "linewidth": 0.8, "zorder": 0}
    label = {"textcoords": "offset points", "color": "#777777"}
    first = 0.6 * min(values[0] for values in seconds.values())
    left.plot([sizes[0], sizes[-1]], [first, first * sizes[-1] / sizes[0]], **grey)
    left.annotate("slope 1", (sizes[0], first), (0, -11), fontsize=9, **label)
    left.yaxis.set_major_formatter("{x:g} s")
    right.axhline(MOST_MEMORY / 1e6, **grey)
    right.annotate("limit: 2 GB", (sizes[0], 2000), (0, 3), **label)
    ticks = {100: "100 MB", 200: "200 MB", 500: "500 MB", 1000: "1 GB", 2000: "2 GB"}
    right.set_yticks(list(ticks), list(ticks.values()))

    bare(left, "seconds of each stage, start-up included")
    bare(right, "most memory held")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140)
    print(f"written: {path}")
