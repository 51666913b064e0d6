"""The report of 1,000 runs: 10 methods, 4 datasets, 25 seeds, made by benchmarks/synthetic.py, in fresh processes.

``python -m benchmarks.reports`` prints seconds and peak memory of tables, page and summary, and of all figures.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PARTS = {
    "tables, page and summary": "latex,html,markdown",
    "all figures, three formats": "pdf,png,svg",
}


def seconds_and_memory(root: Path, formats: str) -> tuple[float, float]:
    """Return how long one report took, and how many MB it held at most."""
    command = [
        sys.executable,
        "-m",
        "bench_uq",
        "report",
        "--suite",
        "thousand",
        "--formats",
        formats,
    ]
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--results", str(root), "--reports", str(root / "reports")],
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"bench-uq report ended with {process.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own: what this one holds would count as the peak of its children.
        subprocess.run(
            [sys.executable, "-m", "benchmarks.synthetic", str(Path(folder) / "thousand")],
            check=True,
        )
        for title, formats in PARTS.items():
            taken = [seconds_and_memory(Path(folder), formats) for _ in range(rounds)]
            times = sorted(seconds for seconds, _ in taken)
            spread = f"{times[0]:.1f}–{times[-1]:.1f}"
            memory = max(memory for _, memory in taken)
            print(
                f"{title:<28} median {statistics.median(times):.1f} s ({spread}, {rounds} rounds), {memory:.0f} MB"
            )


if __name__ == "__main__":
    main()
