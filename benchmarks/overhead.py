"""What the engine takes beside arithmetic: start-up, seeing that 1,000 stored runs are complete, and the quick suite.

``--help`` and the command on a stored suite are whole processes. Of the quick suite, on one core: the wall time, what
its runs say they trained and predicted, what a process takes to import, and the rest, which is the engine's own.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench_uq import store
from bench_uq.plan.fingerprints import Contents
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.runs import make_plan
from bench_uq.plan.suite import read_suite

SUITE = """extends = "quick"
methods = ["map"]
seeds = [{seeds}]
"""


def seconds(*arguments: str, folder: Path) -> float:
    """Return the seconds of a command, which must succeed."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "bench_uq", *arguments], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return time.perf_counter() - start


def stored(folder: Path, count: int) -> Path:
    """Make a suite of so many runs that are stored with all that is asked of them, and return its file."""
    suite = folder / "many.toml"
    suite.write_text(SUITE.format(seeds=", ".join(map(str, range(count)))))
    chosen = read_suite(str(suite), {})
    contents = Contents(folder / "data", folder / "results" / ".contents.json")
    runs = make_plan(chosen, Plugins(), contents)
    contents.remember()
    probs = np.random.default_rng(0).dirichlet(np.ones(10), 360).astype(np.float32)
    buffer = io.BytesIO()
    np.savez(buffer, probs=probs, draw_entropy=probs[:, 0], targets=np.arange(360) % 10)
    content = buffer.getvalue()
    for run in runs:
        place = store.run_folder(folder / "results" / "many", run.name)
        for name in (store.NETWORK, store.TRAINING):
            store.write_bytes(place.path / name, b"0" * 200_000)
        names = [shown.file for shown in run.shown]
        for name in names:
            store.write_bytes(place.path / name, content)
        entries = {
            name: {
                "sha256": store.sha256(place.path / name),
                "bytes": (place.path / name).stat().st_size,
            }
            for name in (store.NETWORK, store.TRAINING, *names)
        }
        place.update(key=run.key, status="ok", reason=None, files=entries)
    return suite


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        help_ = [seconds("--help", folder=folder) for _ in range(arguments.rounds)]
        print(f"--help: {statistics.median(help_):.2f} s")
        suite = stored(folder, arguments.runs)
        seen = [
            seconds("run", "--suite", suite.name, "--device", "cpu", "--no-score", folder=folder)
            for _ in range(3)
        ]
        print(
            f"a suite of {arguments.runs:,} stored runs is seen to be complete in {statistics.median(seen):.1f} s"
        )
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", "import bench_uq.execute, torch._dynamo, sklearn.datasets"],
            check=True,
        )
        imports = time.perf_counter() - start
        folder = folder / "apart"  # from the stored ones, whose networks would be taken over
        folder.mkdir()
        wall = seconds("run", "--device", "cpu", "--jobs", "1", folder=folder)
        records = [
            json.loads(path.read_text()) for path in folder.glob("results/quick/runs/*/run.json")
        ]
        work = sum(
            record["train_seconds"] + sum(record["predict_seconds"].values()) for record in records
        )
        score = seconds("score", folder=folder)
        rest = wall - work - imports - score
        print(
            f"quick suite, one run at a time: {wall:.1f} s, of it {work:.1f} s training and predicting, about"
        )
        print(
            f"{imports:.1f} s imports and {score:.1f} s scoring in a process of its own; the rest {rest:.1f} s"
        )


if __name__ == "__main__":
    main()
