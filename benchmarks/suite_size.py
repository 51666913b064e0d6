"""Growth of the stages around training with the number of runs: plan, scan, score, report, check.

It makes a results folder with simulated runs (10 methods on 4 datasets, five conditions and levels
each) and measures each stage as a command in a process of its own: wall seconds and peak memory.
The exponent is the slope of log seconds over log runs between the two largest sizes, start-up
included: 1 if twice the runs take twice as long.
Writes benchmarks/measured/suite-size.csv and docs/figures/scale-of-suites.png; 10,000 runs take
about 4 GB of disk.
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
from pathlib import Path

from bench_uq.plan.fingerprints import Contents
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.runs import make_plan
from bench_uq.plan.suite import read_suite
from bench_uq.score.run_scores import KEPT
from bench_uq.store import PlannedRun
from benchmarks.stored_suites import store_runs, write_suite

BENCH, SUITE = ("-m", "bench_uq"), ("--suite", "many.toml")
RUN = (*BENCH, "run", *SUITE, "--data-dir", "data", "--device", "cpu", "--no-score")
SCORE, REPORT = (*BENCH, "score", *SUITE), (*BENCH, "report", *SUITE)
#: Stages in their order, as arguments of Python; each needs the files of those before it.
STAGES: Mapping[str, tuple[str, ...]] = {
    "start": (*RUN, "--seeds", "0"),
    "plan": ("-m", "benchmarks.suite_size", "--plan-only"),
    "scan": RUN,
    "score": SCORE,
    "score again": SCORE,
    "tables, page": (*REPORT, "--formats", "latex,markdown,html"),
    "figures": (*REPORT, "--formats", "png"),
    "baseline": (*BENCH, "baseline", *SUITE, "--out", "baseline.csv"),
    "check": (*BENCH, "check", *SUITE, "--baseline", "baseline.csv"),
}
#: Names of the stages in the figure.
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
COLUMNS = ("stage", "runs", "seconds", "megabytes")
#: Seconds and bytes by stage and number of runs.
Measured = dict[tuple[str, int], tuple[float, float]]

#: Runs a command and prints its seconds and memory. The launcher is small because a process starts
#: with the peak of its parent.
LAUNCHER = """
import resource, subprocess, sys, time
start = time.perf_counter()
with open("stdout.txt", "wb") as out, open("stderr.txt", "wb") as err:
    code = subprocess.run(sys.argv[1:], stdout=out, stderr=err).returncode
print(code, time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def cost(arguments: Sequence[str], folder: Path) -> tuple[float, float]:
    """Seconds and peak bytes of a command of Python, which must succeed."""
    source = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-S", "-c", LAUNCHER, sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )

    code, seconds, memory = done.stdout.split()
    if int(code):
        raise SystemExit(f"{' '.join(arguments)}\n{(folder / 'stderr.txt').read_text()}")
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    return float(seconds), float(int(memory) * unit)


def plan(folder: Path) -> list[PlannedRun]:
    """Plan the suite in a folder, and remember its data as a command does."""
    contents = Contents(folder / "data", folder / "results" / ".contents.json")
    runs = make_plan(read_suite(str(folder / "many.toml"), {}), Plugins(), contents)
    contents.remember()
    return runs


def measure(folder: Path, sizes: Sequence[int]) -> Measured:
    """Measure all stages at all sizes; the folder grows from one size to the next."""
    found: Measured = {}
    for runs in sorted(sizes):
        write_suite(folder, runs)
        store_runs(plan(folder), folder / "results" / "many")
        for kept in folder.glob(f"results/many/runs/*/{KEPT}"):
            kept.unlink()  # scoring begins anew at each size

        for stage, arguments in STAGES.items():
            seconds, memory = found[stage, runs] = cost(arguments, folder)
            line = f"{runs:>7,}  {stage:13} {seconds:8.1f} s {memory / 1e6:8.0f} MB"
            print(line, flush=True)
    return found


def exponent(found: Measured, stage: str) -> str:
    """Slope of log seconds over log runs between the two largest sizes; a dash for one size."""
    sizes = sorted(runs for name, runs in found if name == stage)[-2:]
    if len(sizes) < 2:
        return "–"
    first, last = (found[stage, runs][0] for runs in sizes)
    return f"{math.log(last / first) / math.log(sizes[1] / sizes[0]):.2f}"


def show(found: Measured) -> None:
    """Print the table of docs/scale.md: seconds and memory of each stage, and the exponent."""
    sizes = sorted({runs for _, runs in found})
    print(f"| stage | {' | '.join(f'{runs:,} runs' for runs in sizes)} | exponent |")
    print(f"|---|{'---:|' * (len(sizes) + 1)}")
    for stage in STAGES:
        cells = [TITLES[stage]]
        for runs in sizes:
            seconds, memory = found[stage, runs]
            cells.append(f"{seconds:.1f} s, {memory / 1e6:,.0f} MB")
        print(f"| {' | '.join(cells)} | {exponent(found, stage)} |")

    (stage, runs), (_, memory) = max(found.items(), key=lambda item: item[1][1])
    print(f"most memory: {memory / 1e6:,.0f} MB ({TITLES[stage]}, {runs:,} runs)")


def write(found: Measured, path: Path) -> None:
    """Write the measurements as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for (stage, runs), (seconds, memory) in found.items():
            writer.writerow([stage, runs, round(seconds, 2), round(memory / 1e6)])
    print(f"written: {path}")


def read(path: Path) -> Measured:
    """Read earlier measurements."""
    found: Measured = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            values = (float(row["seconds"]), 1e6 * float(row["megabytes"]))
            found[row["stage"], int(row["runs"])] = values
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--runs", default="1000,2000,5000,10000", help="multiples of 40, with commas between them"
    )
    parser.add_argument("--folder", type=Path, help="kept afterwards (default: a temporary one)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/suite-size.csv"))
    parser.add_argument("--figure", type=Path, default=Path("docs/figures/scale-of-suites.png"))
    parser.add_argument("--drawn-only", action="store_true", help="draw earlier measurements")
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

    # Imported here: the figure's imports would count as time and memory of the stage "plan".
    from benchmarks.suite_figure import draw

    found = read(arguments.out)
    show(found)
    draw(found, TITLES, arguments.figure)


if __name__ == "__main__":
    main()
