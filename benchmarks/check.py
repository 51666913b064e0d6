"""Seconds of bench-uq check on at least 10,000 gated cells of five seeds, all of them changed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import pandas as pd

from benchmarks.synthetic import METHODS, write_results

RUNS = 5
BENCH = [sys.executable, "-m", "bench_uq"]


def suite(folder: Path, seeds: range) -> Path:
    """Write a suite of 14 datasets with two OOD datasets each."""
    datasets = [f"data{place}" for place in range(14)]
    return write_results(folder, METHODS, seeds, datasets=datasets, unseen=["letters", "notmnist"])


def relabel(folder: Path) -> None:
    """Rename seeds 5 to 9 of a suite's folder to 0 to 4, so that they count as the baseline's."""
    for name in ("runs.csv", "scores.csv"):
        frame = pd.read_csv(folder / name, dtype=str, keep_default_na=False)
        frame["seed"] = (frame["seed"].astype(int) - 5).astype(str)
        frame.to_csv(folder / name, index=False)


def timed(command: list[str]) -> tuple[float, str]:
    """Run one process: its seconds and its last line."""
    start = time.perf_counter()
    output = subprocess.run(command, capture_output=True, text=True).stdout
    return time.perf_counter() - start, output.splitlines()[-1]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        suite(folder / "before" / "quick", range(5))
        relabel(suite(folder / "now" / "quick", range(5, 10)))

        baseline = str(folder / "baseline.csv")
        store = [*BENCH, "baseline", "--results", str(folder / "before"), "--out", baseline]
        subprocess.run(store, check=True, stdout=subprocess.DEVNULL)

        command = [*BENCH, "check", "--baseline", baseline, "--results", str(folder / "now")]
        seconds, lines = zip(*(timed(command) for _ in range(RUNS)), strict=True)

    spread = f"{min(seconds):.1f} to {max(seconds):.1f}"
    print(f"{lines[-1]}\n{median(seconds):.1f} s, the median of {RUNS} ({spread}); asked: 5 s")


if __name__ == "__main__":
    main()
