"""The report of 1,000 synthetic runs (10 methods, 4 datasets, 25 seeds), in fresh processes.

It prints seconds and peak memory of tables, page and summary, and of all figures.
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
REPORT = [sys.executable, "-m", "bench_uq", "report", "--suite", "thousand"]


def seconds_and_memory(root: Path, formats: str) -> tuple[float, float]:
    """Seconds of one report into an empty folder, and its peak memory in MB."""
    # In a folder that has them, unchanged files are not made again.
    folders = ["--results", str(root), "--reports", tempfile.mkdtemp(dir=root)]
    start = time.perf_counter()
    process = subprocess.Popen([*REPORT, "--formats", formats, *folders], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"bench-uq report ended with {process.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own: the memory of this process would count as its children's peak.
        suite = str(Path(folder) / "thousand")
        subprocess.run([sys.executable, "-m", "benchmarks.synthetic", suite], check=True)

        for title, formats in PARTS.items():
            taken = [seconds_and_memory(Path(folder), formats) for _ in range(rounds)]
            times, megabytes = zip(*taken, strict=True)
            spread = f"({min(times):.1f}–{max(times):.1f}, {rounds} rounds)"
            median = statistics.median(times)
            print(f"{title:<28} median {median:.1f} s {spread}, {max(megabytes):.0f} MB")


if __name__ == "__main__":
    main()
