"""Time of the engine beside arithmetic: start-up, a check of 1,000 stored runs, the quick suite.

``--help`` and the command on a stored suite are whole processes. Of the quick suite, on one core:
the wall time, the training and prediction that its runs recorded, the imports of a process, and the
rest, which is the engine's own.
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
seeds = {seeds}
"""
BENCH = ("-m", "bench_uq")
IMPORTS = ("-c", "import bench_uq.run.execute, torch._dynamo, sklearn.datasets")


def seconds(*arguments: str, folder: Path) -> float:
    """Seconds of a command of Python, which must succeed."""
    start = time.perf_counter()
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return time.perf_counter() - start


def stored(folder: Path, count: int) -> Path:
    """Make a suite with this many complete runs in store; return its file."""
    suite = folder / "many.toml"
    suite.write_text(SUITE.format(seeds=list(range(count))))
    contents = Contents(folder / "data", folder / "results" / ".contents.json")
    runs = make_plan(read_suite(str(suite), {}), Plugins(), contents)
    contents.remember()

    probs = np.random.default_rng(0).dirichlet(np.ones(10), 360).astype(np.float32)
    buffer = io.BytesIO()
    np.savez(buffer, probs=probs, draw_entropy=probs[:, 0], targets=np.arange(360) % 10)
    network = b"0" * 200_000

    for run in runs:
        place = store.run_folder(folder / "results" / "many", run.name)
        files = {store.NETWORK: network, store.TRAINING: network}
        files |= {shown.file: buffer.getvalue() for shown in run.shown}
        entries = {}
        for name, content in files.items():
            path = place.path / name
            store.write_bytes(path, content)
            entries[name] = store.StoredFile(store.sha256(path), len(content))
        place.update(key=run.key, status="ok", reason=None, files=entries)
    return suite


def quick(folder: Path) -> None:
    """Print the parts of the quick suite's time."""
    imports = seconds(*IMPORTS, folder=folder)
    wall = seconds(*BENCH, "run", "--device", "cpu", "--jobs", "1", folder=folder)
    work = 0.0
    for path in folder.glob("results/quick/runs/*/run.json"):
        record = json.loads(path.read_text())
        work += record["train_seconds"] + sum(record["predict_seconds"].values())
    score = seconds(*BENCH, "score", folder=folder)
    rest = wall - work - imports - score

    print(f"quick suite, one run at a time: {wall:.1f} s, of it {work:.1f} s training and ", end="")
    print(
        f"predicting, about\n{imports:.1f} s imports and {score:.1f} s scoring in a process ",
        end="",
    )
    print(f"of its own; the rest {rest:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        helps = [seconds(*BENCH, "--help", folder=folder) for _ in range(arguments.rounds)]
        print(f"--help: {statistics.median(helps):.2f} s")

        suite = stored(folder, arguments.runs)
        command = (*BENCH, "run", "--suite", suite.name, "--device", "cpu", "--no-score")
        scan = statistics.median(seconds(*command, folder=folder) for _ in range(3))
        print(f"a check that {arguments.runs:,} stored runs are complete: {scan:.1f} s")

        apart = folder / "apart"  # beside the stored runs, whose networks would be reused
        apart.mkdir()
        quick(apart)


if __name__ == "__main__":
    main()
