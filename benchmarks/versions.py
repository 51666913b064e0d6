"""The quick suite with the code of another revision and with this one's, interleaved.

python -m benchmarks.versions 5e7cdd1      # before the fast paths
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

#: Folders that pyproject.toml maps into the package; older revisions lack some.
PLUGINS = ("methods", "datasets", "conditions", "metrics")


def unpacked(revision: str, folder: Path) -> Path:
    """Lay out the code of a revision so that it can be imported; return the folder."""
    folder.mkdir()
    listing = subprocess.run(["git", "ls-tree", "--name-only", revision], capture_output=True)
    there = listing.stdout.decode().split()
    plugins = [name for name in PLUGINS if name in there]

    command = ["git", "archive", revision, "bench_uq", *plugins]
    archive = subprocess.run(command, capture_output=True, check=True)
    subprocess.run(["tar", "x", "-C", str(folder)], input=archive.stdout, check=True)
    for name in plugins:
        (folder / name).rename(folder / "bench_uq" / name)
    return folder


def seconds(code: Path) -> tuple[float, float]:
    """Wall seconds of the suite, and the seconds of training and prediction in its records."""
    with tempfile.TemporaryDirectory() as results:
        command = [sys.executable, "-m", "bench_uq", "run", "--device", "cpu", "--results", results]
        environment = {**os.environ, "PYTHONPATH": str(code)}
        start = time.perf_counter()
        subprocess.run(command, cwd=code, env=environment, check=True, capture_output=True)
        wall = time.perf_counter() - start

        work = 0.0
        for path in Path(results).glob("quick/runs/*/run.json"):
            record = json.loads(path.read_text())
            work += record["train_seconds"] + sum(record["predict_seconds"].values())
        return wall, work


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revision")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()

    old, new = [], []
    with tempfile.TemporaryDirectory() as name:
        before = unpacked(arguments.revision, Path(name) / "before")
        after = unpacked("HEAD", Path(name) / "after")
        for _ in range(arguments.rounds):
            old.append(seconds(before))
            new.append(seconds(after))

    titles = ("wall time", "training and predicting")
    for title, olds, news in zip(
        titles, zip(*old, strict=True), zip(*new, strict=True), strict=True
    ):
        ratio = statistics.median(now / then for then, now in zip(olds, news, strict=True))
        medians = f"{statistics.median(olds):.1f} s before, {statistics.median(news):.1f} s now"
        print(f"{title}: {medians}, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
