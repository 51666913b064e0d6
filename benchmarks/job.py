"""A whole job, command to scores: CPU seconds, wall and memory beside torch-uncertainty.

LeNet on some images of MNIST for two epochs: a plain network, MC dropout with 20 draws, an
ensemble of three; accuracy, NLL, ECE, and AUROC of notMNIST by entropy. CPU seconds and memory are
those of a command and all processes that it starts. Both sides run in turn, round by round.

The peer needs a Python of its own, because it fixes versions of its dependencies:

    python3 -m venv PEER && PEER/bin/pip install torch torchvision torch-uncertainty==0.13.0 \\
        "lightning[pytorch-extra]<2.7" rich scikit-learn huggingface-hub timm
    python -m benchmarks.job --data-dir DIR --peer PEER/bin/python
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from bench_uq.plan.examples import load
from bench_uq.plan.plugins import Plugins

EPOCHS, DRAWS, MEMBERS = 2, 20, 3
NAMES = {"plain": "map", "dropout": "dropout", "ensemble": f"ensemble[members={MEMBERS}]"}

#: Share of the training data that bench-uq holds out; the peer holds out nothing.
VALIDATION = 0.01

JOBS = (*NAMES, "all")

#: Largest share of the peer's CPU seconds, and of its memory.
AIMS = {"dropout": 0.4, "plain": 0.8, "ensemble": 0.8, "all": 0.6}
MEMORY_AIM = 0.6

#: Linux: processes whose parent has ended become children of this one, so that they are counted.
SUBREAPER = 36
#: Seconds between two looks at the memory.
LOOK = 0.1

SUITE = """methods = [{methods}]
datasets = ["mnist"]
seeds = [0]

[settings]
epochs = {epochs}
batch = 128
draws = {draws}
validation = {validation}
train_images = {images}
threads = 2

[conditions]
notmnist = []
"""


#: CPU seconds of processes, by generation and id, when they were last looked at.
Times = dict[tuple[int, int], float]


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    cpu: float  # seconds of all processes
    wall: float
    memory: float  # MB at most, shared pages counted once
    parts: tuple[float, ...] = ()  # MB at that time of the command, its children, their children
    times: tuple[tuple[float, ...], ...] = ()  # CPU seconds of each process of these generations


def measured(command: list[str], folder: Path) -> tuple[Cost, str]:
    """Cost of a command and all that it starts, and its stdout."""
    before, start = spent(), time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

    seen, times, over = list[tuple[float, ...]](), Times(), threading.Event()
    watching = threading.Thread(target=watch, args=(process.pid, seen, times, over))
    watching.start()
    said, complained = process.communicate()
    wall = time.perf_counter() - start
    over.set()
    watching.join()
    reap()

    if process.returncode:
        raise SystemExit(complained)
    highest = max(seen, key=sum, default=(0.0,))
    return Cost(spent() - before, wall, sum(highest), highest, by_generation(times)), said


def by_generation(times: Times) -> tuple[tuple[float, ...], ...]:
    """CPU seconds of each process, longest first, for each generation; under 0.1 s left out."""
    found = []
    for generation in range(1 + max((at for at, _ in times), default=-1)):
        own = [spent for (at, _), spent in times.items() if at == generation and spent >= 0.1]
        found.append(tuple(sorted(own, reverse=True)))
    return tuple(found)


def spent() -> float:
    """CPU seconds of all processes that were started here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def watch(pid: int, seen: list[tuple[float, ...]], times: Times, over: threading.Event) -> None:
    """Note memory and CPU seconds of a process, its children and theirs until it is over."""
    while not over.wait(LOOK):
        with suppress(psutil.Error):
            top, depths, found = psutil.Process(pid), {pid: 0}, [0.0]
            for one in (top, *top.children(recursive=True)):
                depth = depths.setdefault(one.pid, depths.get(one.ppid(), 0) + 1)
                taken = one.cpu_times()
                times[depth, one.pid] = taken.user + taken.system
                found += [0.0] * (depth + 1 - len(found))
                found[depth] += one.memory_full_info().pss / 1e6
            seen.append(tuple(found))


def reap() -> None:
    """Wait for processes that the command has left, such as the one that runs are forked from."""
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def write_images(file: Path, root: Path, images: int) -> None:
    """Write the images for the peer: as many of the training split, all others."""
    plugins = Plugins()
    digits = plugins.spec("dataset", "mnist").value
    train, test = load(digits, "train", root, 0), load(digits, "test", root, 0)
    unseen = load(plugins.spec("dataset", "notmnist").value, "test", root, 0)

    chosen = np.random.default_rng(0).permutation(len(train.targets))[:images]
    np.savez(
        file,
        train_images=train.inputs[chosen],
        train_labels=train.targets[chosen],
        test_images=test.inputs,
        test_labels=test.targets,
        unseen_images=unseen.inputs,
        unseen_labels=np.zeros(len(unseen.inputs), np.int64),
    )


def ours(methods: list[str], images: int, root: Path, folder: Path) -> tuple[Cost, str]:
    """Cost of bench-uq for some methods, in one command."""
    names = ", ".join(f'"{NAMES[method]}"' for method in methods)
    suite = SUITE.format(
        methods=names, epochs=EPOCHS, draws=DRAWS, images=images, validation=VALIDATION
    )
    (folder / "job.toml").write_text(suite)
    place = tempfile.mkdtemp(dir=folder)
    command = [sys.executable, "-m", "bench_uq", "run", "--suite", "job.toml", "--device", "cpu"]
    cost, _ = measured([*command, "--data-dir", str(root), "--results", place], folder)

    with (Path(place) / "job" / "scores.csv").open() as file:
        rows = [line for line in file if ",clean," in line and ",accuracy," in line]
    return cost, " ".join(row.split(",")[6] for row in rows)


def theirs(methods: list[str], python: str, file: Path, folder: Path) -> tuple[Cost, str]:
    """Cost of the peer for some methods, a command each."""
    script = str(Path(__file__).with_name("job_peer.py").resolve())
    costs, accuracies = [], []
    for method in methods:
        numbers = (str(EPOCHS), str(DRAWS), str(MEMBERS))
        cost, said = measured([python, script, method, str(file), *numbers], folder)
        costs.append(cost)
        accuracies.append(f"{json.loads(said.splitlines()[-1])['test/cls/Acc']:.4f}")

    cpu, wall = sum(cost.cpu for cost in costs), sum(cost.wall for cost in costs)
    return Cost(cpu, wall, max(cost.memory for cost in costs)), " ".join(accuracies)


def main() -> None:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--peer", default="", help="Python that has torch-uncertainty")
    parser.add_argument("--images", type=int, nargs="+", default=[6000, 20000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--of", nargs="+", choices=JOBS, default=JOBS, help="jobs to measure")
    given = parser.parse_args()
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    root = given.data_dir.resolve()

    for images in given.images:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_images(folder / "images.npz", root, images)
            for label in given.of:
                methods = list(NAMES) if label == "all" else [label]
                compare(label, methods, images, root, folder, given)


def compare(
    label: str, methods: list[str], images: int, root: Path, folder: Path, given: argparse.Namespace
) -> None:
    """Run both sides in turn and print a line."""
    own, other = list[Cost](), list[Cost]()
    for _ in range(given.rounds):
        cost, accuracy = ours(methods, images, root, folder)
        own.append(cost)
        if given.peer:
            cost, peers = theirs(methods, given.peer, folder / "images.npz", folder)
            other.append(cost)

    cpu, wall, memory = (middle(own, name) for name in ("cpu", "wall", "memory"))
    line = f"{images:6} images  {label:9} {cpu:6.1f} CPU s  {wall:6.1f} s  {memory:6.0f} MB"
    print(f"{line}  accuracy {accuracy}")
    shares = " + ".join(f"{share:.0f}" for share in own[-1].parts)
    print(f"{'memory by generation':>24} {shares} MB")
    generations = []
    for times in own[-1].times:
        generations.append(" + ".join(f"{one:.1f}" for one in times))
    print(f"{'CPU seconds':>24} {'; '.join(generations)}")
    if other:
        cpu, wall, memory = (middle(other, name) for name in ("cpu", "wall", "memory"))
        print(f"{'peer':>24} {cpu:6.1f} CPU s  {wall:6.1f} s  {memory:6.0f} MB  accuracy {peers}")
        ratio = statistics.median(a.cpu / b.cpu for a, b in zip(own, other, strict=True))
        share = statistics.median(a.memory / b.memory for a, b in zip(own, other, strict=True))
        met = "yes" if ratio <= AIMS[label] else "NO"
        less = "yes" if share <= MEMORY_AIM else "NO"
        print(
            f"{'ratio':>24} {ratio:6.2f} CPU (at most {AIMS[label]}: {met})  "
            f"{share:.2f} of the memory (at most {MEMORY_AIM}: {less})"
        )


def middle(costs: list[Cost], name: str) -> float:
    """Median over the rounds."""
    return statistics.median(getattr(cost, name) for cost in costs)


if __name__ == "__main__":
    main()
