"""The quick suite with the code of another revision and with this one's, interleaved, in fresh folders.

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


def unpacked(revision: str, folder: Path) -> Path:
    """Lay out the code of a revision so that it can be imported, and return the folder."""
    folder.mkdir()
    archive = subprocess.run(
        ["git", "archive", revision, "bench_uq", "methods", "datasets"],
        capture_output=True,
        check=True,
    )
    subprocess.run(["tar", "x", "-C", str(folder)], input=archive.stdout, check=True)
    for name in ("methods", "datasets"):
        (folder / name).rename(folder / "bench_uq" / name)
    return folder


def seconds(code: Path) -> tuple[float, float]:
    """Return the wall time of the suite, and what its runs took to train and predict."""
    with tempfile.TemporaryDirectory() as results:
        start = time.perf_counter()
        command = [sys.executable, "-m", "bench_uq", "run", "--device", "cpu", "--results", results]
        environment = {**os.environ, "PYTHONPATH": str(code)}
        subprocess.run(command, cwd=code, env=environment, check=True, capture_output=True)
        wall = time.perf_counter() - start
        records = [
            json.loads(path.read_text()) for path in Path(results).glob("quick/runs/*/run.json")
        ]
        return wall, sum(
            one["train_seconds"] + sum(one["predict_seconds"].values()) for one in records
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revision")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        before, after = (
            unpacked(arguments.revision, Path(name) / "before"),
            unpacked("HEAD", Path(name) / "after"),
        )
        measured = [(seconds(before), seconds(after)) for _ in range(arguments.rounds)]
    for place, what in enumerate(("wall time", "training and predicting")):
        ratio = statistics.median(new[place] / old[place] for old, new in measured)
        old, new = (statistics.median(one[side][place] for one in measured) for side in (0, 1))
        print(f"{what}: {old:.1f} s before, {new:.1f} s now, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
