"""How the stages around training grow with the number of runs: planning, scanning, scoring, reporting, checking.

``python -m benchmarks.suite_size`` makes a results folder as if its runs had been made (10 methods on 4 datasets, five
conditions and levels each) and measures each stage as a command in a process of its own: wall seconds, and the most
memory it held. The exponent is the slope of log seconds over log runs between the two largest sizes, start-up and all:
1 where twice the runs take twice as long.
Writes benchmarks/measured/suite-size.csv and docs/figures/scale-of-suites.png; 10,000 runs take about 4 GB of disk.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np

from bench_uq.plan.fingerprints import Contents
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.runs import Run, make_plan
from bench_uq.plan.suite import read_suite
from bench_uq.score.score import KEPT
from benchmarks.stored_suites import store_runs, write_suite

SUITE = ("--suite", "many.toml")
#: Stages in their order, as arguments of Python; each needs what those before it wrote.
STAGES: Mapping[str, tuple[str, ...]] = {
    "start": (
        "-m",
        "bench_uq",
        "run",
        *SUITE,
        "--data-dir",
        "data",
        "--device",
        "cpu",
        "--seeds",
        "0",
        "--no-score",
    ),
    "plan": ("-m", "benchmarks.suite_size", "--plan-only"),
    "scan": (
        "-m",
        "bench_uq",
        "run",
        *SUITE,
        "--data-dir",
        "data",
        "--device",
        "cpu",
        "--no-score",
    ),
    "score": ("-m", "bench_uq", "score", *SUITE),
    "score again": ("-m", "bench_uq", "score", *SUITE),
    "tables, page": ("-m", "bench_uq", "report", *SUITE, "--formats", "latex,markdown,html"),
    "figures": ("-m", "bench_uq", "report", *SUITE, "--formats", "png"),
    "baseline": ("-m", "bench_uq", "baseline", *SUITE, "--out", "baseline.csv"),
    "check": ("-m", "bench_uq", "check", *SUITE, "--baseline", "baseline.csv"),
}
#: What stages are called in the figure.
TITLES = {
    "start": "start of a command",
    "plan": "plan",
    "scan": "run with nothing to do",
    "score": "score from nothing",
    "score again": "score again, nothing changed",
    "tables, page": "report: tables, page, summary",
    "figures": "report: figures",
    "baseline": "keep a baseline",
    "check": "check against it",
}
#: What is promised of 10,000 runs.
MOST_MEMORY = 2e9  # bytes
COLUMNS = ("stage", "runs", "seconds", "megabytes")
Measured = dict[tuple[str, int], tuple[float, float]]


@dataclass(frozen=True)
class Cost:
    """What a process took."""

    seconds: float
    memory: float  # bytes at most


#: Runs a command and prints its seconds and memory. It is small itself: a process starts with the peak of its parent.
LAUNCHER = """
import resource, subprocess, sys, time
start = time.perf_counter()
with open("stdout.txt", "wb") as out, open("stderr.txt", "wb") as err:
    code = subprocess.run(sys.argv[1:], stdout=out, stderr=err).returncode
print(code, time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def cost(arguments: Sequence[str], folder: Path) -> Cost:
    """Return what a command of Python took, which must succeed."""
    source = str(Path(__file__).resolve().parents[1])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([source, os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-S", "-c", LAUNCHER, sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    code, seconds, memory = done.stdout.split()
    if int(code):
        raise SystemExit(f"{' '.join(arguments)}\n{(folder / 'stderr.txt').read_text()}")
    return Cost(float(seconds), int(memory) * (1 if sys.platform == "darwin" else 1024))


def plan(folder: Path) -> list[Run]:
    """Return the runs of the suite in a folder, its data remembered as a command does."""
    contents = Contents(folder / "data", folder / "results" / ".contents.json")
    runs = make_plan(read_suite(str(folder / "many.toml"), {}), Plugins(), contents)
    contents.remember()
    return runs


def measure(folder: Path, sizes: Sequence[int]) -> Measured:
    """Return seconds and bytes by stage and number of runs; the folder grows from one size to the next."""
    found: Measured = {}
    for runs in sorted(sizes):
        write_suite(folder, runs)
        store_runs(plan(folder), folder / "results" / "many")
        for kept in folder.glob(f"results/many/runs/*/{KEPT}"):
            kept.unlink()  # scoring begins anew at each size
        for stage, arguments in STAGES.items():
            one = cost(arguments, folder)
            found[stage, runs] = (one.seconds, one.memory)
            print(
                f"{runs:>7,}  {stage:13} {one.seconds:8.1f} s {one.memory / 1e6:8.0f} MB",
                flush=True,
            )
    return found


def exponent(found: Measured, stage: str) -> float:
    """Return the slope of log seconds over log runs between the two largest sizes; NaN for a single size."""
    sizes = sorted(runs for name, runs in found if name == stage)[-2:]
    if len(sizes) < 2:
        return float("nan")
    seconds = [found[stage, runs][0] for runs in sizes]
    return math.log(seconds[1] / seconds[0]) / math.log(sizes[1] / sizes[0])


def show(found: Measured) -> None:
    """Print the table that docs/scale.md holds: seconds and memory of each stage at each size, and the exponent."""
    sizes = sorted({runs for _, runs in found})
    print(f"| stage | {' | '.join(f'{runs:,} runs' for runs in sizes)} | exponent |")
    print(f"|---|{'---:|' * (len(sizes) + 1)}")
    for stage in STAGES:
        cells = [
            f"{found[stage, runs][0]:.1f} s, {found[stage, runs][1] / 1e6:,.0f} MB"
            for runs in sizes
        ]
        slope = exponent(found, stage)
        print(
            f"| {TITLES[stage]} | {' | '.join(cells)} | {'–' if math.isnan(slope) else f'{slope:.2f}'} |"
        )
    worst = max(found.items(), key=lambda one: one[1][1])
    print(f"most memory: {worst[1][1] / 1e6:,.0f} MB ({TITLES[worst[0][0]]}, {worst[0][1]:,} runs)")


def write(found: Measured, path: Path) -> None:
    """Write what was measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        [stage, runs, round(seconds, 2), round(memory / 1e6)]
        for (stage, runs), (seconds, memory) in found.items()
    ]
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    print(f"written: {path}")


def read(path: Path) -> Measured:
    """Return what was measured before."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        (row["stage"], int(row["runs"])): (float(row["seconds"]), 1e6 * float(row["megabytes"]))
        for row in rows
    }


def draw(found: Measured, path: Path) -> None:
    """Draw seconds and memory against runs, each line with its name at its end."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    from benchmarks.figure import apart, bare

    sizes = sorted({runs for _, runs in found})
    stages = [stage for stage in STAGES if stage != "start"]
    figure, panels = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    for axes, place, unit, gap in zip(panels, (0, 1), (1, 1e6), (0.15, 0.058), strict=True):
        ends = apart(np.log10([found[stage, sizes[-1]][place] / unit for stage in stages]), gap)
        for number, (stage, end) in enumerate(zip(stages, ends, strict=True)):
            values = [found[stage, runs][place] / unit for runs in sizes]
            color = plt.get_cmap("tab10")(number)
            axes.plot(sizes, values, "o-", color=color, markersize=4, linewidth=1.5)
            axes.annotate(
                TITLES[stage],
                (sizes[-1], values[-1]),
                (sizes[-1] * 1.25, 10**end),
                color=color,
                va="center",
                fontsize=9,
                arrowprops={
                    "arrowstyle": "-",
                    "color": color,
                    "linewidth": 0.6,
                    "shrinkA": 0,
                    "shrinkB": 3,
                },
            )
        axes.set(xscale="log", yscale="log", xlabel="runs in the suite")
        axes.set_xticks(sizes, [f"{runs:,}" for runs in sizes])
        axes.minorticks_off()
        axes.set_xlim(sizes[0] * 0.9, sizes[-1] * (sizes[-1] / sizes[0]) ** 0.95 * 1.4)
        axes.spines["bottom"].set_bounds(sizes[0], sizes[-1])
    first = 0.6 * min(found[stage, sizes[0]][0] for stage in stages)
    last = first * sizes[-1] / sizes[0]
    panels[0].plot([sizes[0], sizes[-1]], [first, last], color="#bbbbbb", linewidth=0.8, zorder=0)
    panels[0].annotate(
        "slope 1",
        (sizes[0], first),
        (0, -11),
        textcoords="offset points",
        color="#777777",
        fontsize=9,
    )
    panels[0].yaxis.set_major_formatter("{x:g} s")
    panels[1].axhline(MOST_MEMORY / 1e6, color="#bbbbbb", linewidth=0.8, zorder=0)
    panels[1].annotate(
        "limit: 2 GB", (sizes[0], 2000), (0, 3), textcoords="offset points", color="#777777"
    )
    panels[1].set_yticks(
        [100, 200, 500, 1000, 2000], ["100 MB", "200 MB", "500 MB", "1 GB", "2 GB"]
    )
    bare(panels[0], "seconds of each stage, start-up included")
    bare(panels[1], "most memory held")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=140)
    print(f"written: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", default="1000,2000,5000,10000", help="multiples of 40, with commas between them"
    )
    parser.add_argument("--folder", type=Path, help="kept afterwards; left out: a temporary one")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/suite-size.csv"))
    parser.add_argument("--figure", type=Path, default=Path("docs/figures/scale-of-suites.png"))
    parser.add_argument("--drawn-only", action="store_true", help="draw what was measured before")
    parser.add_argument("--plan-only", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plan_only:
        print(len(plan(Path())))
        return
    if not arguments.drawn_only:
        sizes = [int(text) for text in arguments.runs.split(",")]
        with ExitStack() as made:
            folder = arguments.folder or Path(made.enter_context(tempfile.TemporaryDirectory()))
            folder.mkdir(parents=True, exist_ok=True)
            write(measure(folder.resolve(), sizes), arguments.out)
    found = read(arguments.out)
    show(found)
    draw(found, arguments.figure)


if __name__ == "__main__":
    main()
