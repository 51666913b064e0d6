"""Growth of scoring, reporting and planning a tuning study, with each part of a suite by itself.

A suite of simulated runs has 10 methods, 2 datasets, 3 levels of an attack and 3 seeds; of one of
these parts it gets 2, 4 and 8 times as many. CPU seconds of each command in a process of its own
are measured, which other work on the machine changes little. The exponent is the slope of log
seconds over log size between the two largest sizes, start-up included.
Writes benchmarks/measured/growth.csv.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.stored_suites import store_runs, write_suite
from benchmarks.suite_size import BENCH, REPORT, SCORE, SUITE, plan

TIMES = (1, 2, 4, 8)

PARTS = ("methods", "datasets", "levels", "trials")

SEEDS = 3

STAGES: Mapping[str, tuple[str, ...]] = {
    "score": SCORE,
    "report: tables, page, summary": (*REPORT, "--formats", "latex,markdown,html"),
    "report: figures": (*REPORT, "--formats", "png"),
}

#: Settings that a study draws, so that it has something to try.
SEARCH = """
[search.map]
learning_rate = { low = 1e-4, high = 1e-1, scale = "log" }
"""


@dataclass(frozen=True)
class Size:
    """Numbers of methods, datasets and levels of an attack."""

    methods: int = 10
    datasets: int = 2
    levels: int = 3

    def suite(self, folder: Path) -> None:
        """Write the suite, and store its runs."""
        methods = [f"dropout[rate={(1 + number) / 1000}]" for number in range(self.methods)]
        datasets = [f"data-{number}" for number in range(self.datasets)]
        levels = [round((1 + number) / 100, 2) for number in range(self.levels)]

        runs = SEEDS * self.methods * self.datasets
        write_suite(folder, runs, methods, datasets, levels)
        store_runs(plan(folder), folder / "results" / "many")


def seconds(arguments: Sequence[str], folder: Path) -> float:
    """CPU seconds of a command of Python and all that it starts."""
    source = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}\n{done.stderr}")

    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def of_part(part: str) -> dict[str, list[float]]:
    """CPU seconds by stage, at each size of a part of the suite."""
    found: dict[str, list[float]] = {}
    for times in TIMES:
        size = Size(**{part: times * getattr(Size(), part)})
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name).resolve()
            size.suite(folder)
            for stage, arguments in STAGES.items():
                found.setdefault(stage, []).append(seconds(arguments, folder))
    return found


def of_trials() -> dict[str, list[float]]:
    """CPU seconds of planning a study of 8 trials a method, and of more."""
    found = []
    for times in TIMES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name).resolve()
            suite = write_suite(folder, 3, ["map"], ["data"])
            suite.write_text(suite.read_text() + SEARCH)
            trials = str(8 * times)
            tune = (*BENCH, "tune", *SUITE, "--data-dir", "data", "--trials", trials, "--dry-run")
            found.append(seconds(tune, folder))
    return {"tune: plan": found}


def exponent(found: Sequence[float]) -> float:
    """Slope of log seconds over log size between the two largest sizes."""
    return math.log(found[-1] / found[-2]) / math.log(TIMES[-1] / TIMES[-2])


def kept_rows(file: Path, measured: Sequence[str]) -> list[list[str]]:
    """Rows of a file of parts that are not measured anew."""
    if not file.exists():
        return []
    with file.open(newline="") as text:
        _, *rows = csv.reader(text)
    return [row for row in rows if row[1] not in measured]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--of", nargs="+", choices=PARTS, default=PARTS, help="parts to measure")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/growth.csv"))
    arguments = parser.parse_args()

    rows = kept_rows(arguments.out, arguments.of)
    print("| CPU seconds | " + " | ".join(f"x {times}" for times in TIMES) + " | exponent |")
    print("|---|" + "---:|" * (len(TIMES) + 1))
    for part in arguments.of:
        measured = of_trials() if part == "trials" else of_part(part)
        for stage, found in measured.items():
            cells = " | ".join(f"{one:.1f}" for one in found)
            print(f"| {stage}, {part} | {cells} | {exponent(found):.2f} |", flush=True)
            for times, one in zip(TIMES, found, strict=True):
                rows.append([stage, part, str(times), f"{one:.2f}"])

    with arguments.out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["stage", "part", "times", "cpu_seconds"])
        writer.writerows(rows)
    print(f"written: {arguments.out}")


if __name__ == "__main__":
    main()
