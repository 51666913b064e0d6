"""Epochs of MNIST on one device: by method, precision and number of networks; its utilisation."""

from __future__ import annotations

import itertools
import math
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import torch
from torch.nn.functional import conv2d

from bench_uq.api.task import Examples
from bench_uq.plan.plugins import Plugins
from bench_uq.train import recorded
from bench_uq.train.batched import train_together
from bench_uq.train.loop import train
from bench_uq.train.resident import Resident, laid_out
from bench_uq.train.settings import BLOCK, Settings
from benchmarks import rounds
from benchmarks.rounds import Row
from benchmarks.steps import TASK

BATCH = 128
SEEDS = range(5)
PRECISIONS = ("float32", "tf32", "bfloat16")

#: Aims on a GPU, in seconds per epoch of MNIST.
SECONDS = {"map": 0.3, "mnf": 1.0}

#: Multiplications per image in the layers of LeNet 20-50-500. Each layer has two gradients that
#: cost as much as its forward pass, the first layer only one: no gradient of images is needed.
LAYERS = (20 * 24 * 24 * 25, 50 * 8 * 8 * 20 * 25, 800 * 500, 500 * 10)
MULTIPLICATIONS = 3 * sum(LAYERS) - LAYERS[0]

#: Seconds over which nvidia-smi is asked: the driver averages utilisation over up to one second.
BUSY = 3.0


@dataclass(frozen=True)
class Bench:
    """The device, the images, the repeats, and the seconds per epoch of each method so far."""

    device: torch.device
    images: Examples
    epochs: int
    rounds: int
    seconds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    def data(self) -> tuple[Resident, Resident]:
        """All images for training, and held-out ones that only methods with a last step use."""
        training = Resident(self.images, self.device, BATCH)
        return training, Resident(self.images[:1000], self.device, BLOCK)

    def settings(self, epochs: int, **changes: Any) -> Settings:
        """Settings of a training with one more epoch, to warm up."""
        return Settings(epochs=epochs + 1, batch=BATCH, **changes)


def between(work: Callable[[Callable[[float], None]], object]) -> list[float]:
    """Seconds of every epoch but the first: from each report of a training to the next.

    The engine reports at the end of an epoch, when it has read the loss and the curve from the
    device, so the device's work is included.
    """
    stamps: list[float] = []
    work(lambda progress: stamps.append(time.perf_counter()))
    return [later - earlier for earlier, later in itertools.pairwise(stamps)]


def alone(bench: Bench, name: str, epochs: int, **changes: Any) -> list[float]:
    """Seconds per epoch of one network."""
    method, settings = Plugins().spec("method", name).value, bench.settings(epochs, **changes)
    return between(lambda report: train(method, TASK, bench.data(), settings, 0, report=report))


def paired(benchmark: str, seconds: dict[str, list[float]], against: dict[str, str]) -> list[Row]:
    """Rows of epochs: the first of one against the first of another, and so on."""
    by_epoch = zip(*seconds.values(), strict=True)
    measured = [dict(zip(seconds, values, strict=True)) for values in by_epoch]
    return rounds.rows(benchmark, measured, against)


def epoch(bench: Bench, name: str) -> list[Row]:
    """Time epochs of one network of a method."""
    bench.seconds[name] = alone(bench, name, bench.epochs)
    if bench.on_gpu and name in SECONDS:
        reached = statistics.median(bench.seconds[name]) < SECONDS[name]
        print(f"under {SECONDS[name]} s: {'yes' if reached else 'NO'}")
    return paired("epoch", {key: bench.seconds[key] for key in ("map", name)}, {name: "map"})


def share(bench: Bench) -> list[Row]:
    """Time pure multiplications: an epoch of ``map`` at their rate, against the real one."""
    size, many = (8192, 4096) if bench.on_gpu else (1024, 512)
    matrix = torch.rand(size, size, device=bench.device)
    images = laid_out(torch.rand(many, 20, 12, 12, device=bench.device))
    weights = torch.rand(50, 20, 5, 5, device=bench.device)
    subjects: dict[str, rounds.Work] = {
        f"matrix product of {size}": lambda: matrix @ matrix,
        f"convolution of {many}": lambda: conv2d(images, weights),
    }
    measured = rounds.interleaved(subjects, bench.rounds, repeats=5)

    made, least = [], MULTIPLICATIONS * len(bench.images)
    for name, count in zip(subjects, (size**3, LAYERS[1] * many), strict=True):
        rate = count / rounds.median(measured, name)
        print(f"{name}: {2 * rate / 1e12:.3f} TFLOP/s")
        at_rate = f"at the rate of a {name}"
        seconds = {at_rate: [least / rate] * bench.epochs, "map": bench.seconds["map"]}
        made += paired("share", seconds, {at_rate: "map"})
    return made


def together(bench: Bench, name: str) -> list[Row]:
    """Time five seeds trained as one batch of networks against one; each seed has its own data."""
    method, settings = Plugins().spec("method", name).value, bench.settings(bench.epochs)
    tasks, data = [TASK for _ in SEEDS], [bench.data() for _ in SEEDS]
    seconds = between(
        lambda report: train_together(method, tasks, data, settings, SEEDS, report=report)
    )

    one, all_ = "map" if "ensemble" in name else name, f"{name}, {len(SEEDS)} seeds"
    return paired("together", {all_: seconds, one: bench.seconds[one]}, {all_: one})


def launched(bench: Bench, name: str) -> list[Row]:
    """Time epochs whose kernels Python launches one by one, against the recorded steps."""
    with patch.object(recorded, "DEVICES", ()):
        seconds = {f"{name}, not recorded": alone(bench, name, bench.epochs)}
    seconds[name] = bench.seconds[name]
    return paired("recorded", seconds, dict.fromkeys(seconds, f"{name}, not recorded"))


def precision(bench: Bench, name: str) -> list[Row]:
    """Time epochs of one network in each precision."""
    seconds = {}
    for kind in PRECISIONS:
        seconds[f"{name}, {kind}"] = alone(bench, name, bench.epochs, precision=kind)
    return paired("precision", seconds, dict.fromkeys(seconds, f"{name}, float32"))


def busy(bench: Bench, name: str) -> list[Row]:
    """Ask nvidia-smi for the utilisation in a training of its own: asking may slow down timings."""
    if not (bench.on_gpu and shutil.which("nvidia-smi")):
        print("not measured: there is no nvidia-smi for it")
        return []

    median = statistics.median(bench.seconds[name])
    with asked(bench.device) as answers:
        alone(bench, name, math.ceil(BUSY / median))
    if not answers:
        print("not measured: nvidia-smi does not tell")
        return []

    measured = [{f"busy with {name}": answer * median, "the time": median} for answer in answers]
    return rounds.rows("utilisation", measured, {f"busy with {name}": "the time"})


@contextmanager
def asked(device: torch.device) -> Iterator[list[float]]:
    """Collect nvidia-smi's utilisation in the background: the share of time the device computes."""
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    command.append(f"--id=GPU-{torch.cuda.get_device_properties(device).uuid}")
    answers: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.1):
            answer = subprocess.run(command, capture_output=True, text=True).stdout.strip()
            if answer.isdigit():  # on a part of a GPU it is [N/A]
                answers.append(int(answer) / 100)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()
