"""One command for a GPU, over within eight minutes: whether the tests for it pass, and then how fast it is.

    python -m benchmarks.gpu --data-dir DIR
    python -m benchmarks.gpu --device cpu --images 500 --epochs 1 --rounds 1 --threads 1    # tries the command itself

Where a test marked cuda fails nothing is timed. Every time is printed as soon as it is measured; what no longer fits
is said not to be. An epoch is the engine's own, with the row of its training curve, after one to warm up. All is
computed in full float32 where no other precision is named.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch.nn.functional import conv2d

from bench_uq.api.condition import Attack
from bench_uq.api.errors import MissingData
from bench_uq.api.task import Examples
from bench_uq.conditions.fgsm import FGSM
from bench_uq.conditions.pgd import PGD
from bench_uq.plan.examples import load
from bench_uq.plan.plugins import Plugins
from bench_uq.train.batched import train_together
from bench_uq.train.loop import train
from bench_uq.train.precision import tensor_cores
from bench_uq.train.resident import Resident, laid_out
from bench_uq.train.settings import BLOCK, Settings
from benchmarks import attack, predict, rounds, steps
from benchmarks.rounds import Row
from benchmarks.steps import METHODS, TASK

BATCH = 128
DRAWS = 100
SEEDS = range(5)
PRECISIONS = ("float32", "tf32", "bfloat16")
TOGETHER = ("ensemble[members=5]", "map", "mnf")

#: What an epoch of MNIST is to stay below on a GPU, in seconds, and networks trained together, in times one alone.
SECONDS = {"map": 0.3, "mnf": 1.0}
LIMITS = {("ensemble[members=5], 5 seeds", "map"): 3.0}

#: Multiplications an image in the layers of LeNet 20-50-500. Each layer has two gradients that cost as much as going
#: forward, the first but one: nothing asks for that of the images.
LAYERS = (20 * 24 * 24 * 25, 50 * 8 * 8 * 20 * 25, 800 * 500, 500 * 10)
MULTIPLICATIONS = 3 * sum(LAYERS) - LAYERS[0]

#: Seconds over which is asked how busy the device is, which the driver averages over up to one.
BUSY = 3.0


class OutOfTime(BaseException):
    """The time of a measurement is over; no exception that anything on its way would handle."""


@dataclass(frozen=True)
class Bench:
    """The device, the images and how often; ``seconds`` are those of the epochs of each method so far."""

    device: torch.device
    images: Examples
    epochs: int
    rounds: int
    seconds: dict[str, list[float]] = field(default_factory=dict)

    @property
    def on_gpu(self) -> bool:
        """Return whether the device is a GPU."""
        return self.device.type == "cuda"

    def data(self) -> tuple[Resident, Resident]:
        """Return all images for training, and some held out that only methods with a last step look at."""
        return Resident(self.images, self.device, BATCH), Resident(
            self.images[:1000], self.device, BLOCK
        )

    def some(self, most: int) -> Resident:
        """Return a few random images for predictions, of a short try even fewer."""
        return attack.images(min(most, math.ceil(len(self.images) / 10)), self.device)


def between(work: Callable[[Callable[[float], None]], object]) -> list[float]:
    """Return the seconds from each report of a training to the next: of every epoch but the first, device included.

    The engine reports at the end of an epoch, when it has read the loss and the curve from the device.
    """
    stamps: list[float] = []
    work(lambda progress: stamps.append(time.perf_counter()))
    return [later - earlier for earlier, later in itertools.pairwise(stamps)]


def alone(bench: Bench, name: str, epochs: int, **settings: Any) -> list[float]:
    """Return the seconds of the epochs of one network."""
    method, chosen = (
        Plugins().spec("method", name).value,
        Settings(epochs=epochs + 1, batch=BATCH, **settings),
    )
    return between(lambda report: train(method, TASK, bench.data(), chosen, 0, report=report))


def paired(benchmark: str, seconds: dict[str, list[float]], against: dict[str, str]) -> list[Row]:
    """Return rows of epochs: the first of one against the first of another, and so on."""
    measured = [
        dict(zip(seconds, values, strict=True)) for values in zip(*seconds.values(), strict=True)
    ]
    return rounds.rows(benchmark, measured, against)


def epoch(bench: Bench, name: str) -> list[Row]:
    """Time epochs of one network of a method."""
    bench.seconds[name] = alone(bench, name, bench.epochs)
    if bench.on_gpu and name in SECONDS:
        reached = statistics.median(bench.seconds[name]) < SECONDS[name]
        print(f"under {SECONDS[name]} s: {'yes' if reached else 'NO'}")
    return paired("epoch", {key: bench.seconds[key] for key in ("map", name)}, {name: "map"})


def share(bench: Bench) -> list[Row]:
    """Time what only multiplies: which share of an epoch of ``map`` its multiplications would take at that rate."""
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
        rate = count / statistics.median(one[name] for one in measured)
        print(f"{name}: {2 * rate / 1e12:.3f} TFLOP/s")
        seconds = {
            f"at the rate of a {name}": [least / rate] * bench.epochs,
            "map": bench.seconds["map"],
        }
        made += paired("share", seconds, {next(iter(seconds)): "map"})
    return made


def together(bench: Bench, name: str) -> list[Row]:
    """Time five seeds of a method trained as one batch of networks against one network; each seed has its own data."""
    method, settings = (
        Plugins().spec("method", name).value,
        Settings(epochs=bench.epochs + 1, batch=BATCH),
    )
    tasks, data = [TASK for _ in SEEDS], [bench.data() for _ in SEEDS]
    seconds = between(
        lambda report: train_together(method, tasks, data, settings, SEEDS, report=report)
    )
    one, all_ = "map" if "ensemble" in name else name, f"{name}, {len(SEEDS)} seeds"
    return paired("together", {all_: seconds, one: bench.seconds[one]}, {all_: one})


def precision(bench: Bench, name: str) -> list[Row]:
    """Time epochs of one network in each precision."""
    seconds = {
        f"{name}, {kind}": alone(bench, name, bench.epochs, precision=kind) for kind in PRECISIONS
    }
    return paired("precision", seconds, dict.fromkeys(seconds, f"{name}, float32"))


def busy(bench: Bench, name: str) -> list[Row]:
    """Ask how busy the GPU is in a training of its own: asking may slow down what is timed."""
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
    """Collect meanwhile what nvidia-smi says of the share of the time in which the device computes."""
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


def step(bench: Bench) -> list[Row]:
    """Time training steps against plain PyTorch's; others that do not run on the device are left out."""
    subjects = {}
    for name, work in steps.subjects(TASK, BATCH, str(bench.device)).items():
        try:
            work()
            subjects[name] = work
        except Exception:
            if name in METHODS:
                raise
            print(
                f"{name} is left out, it does not run on {bench.device}:\n{traceback.format_exc(limit=1)}"
            )
    measured = rounds.interleaved(subjects, bench.rounds, 20 if bench.on_gpu else 1)
    return rounds.rows("step lenet", measured, dict.fromkeys(subjects, "plain"))


def draws(bench: Bench) -> list[Row]:
    """Time 100 draws against 100 passes one by one."""
    data = bench.some(384)
    passes = partial(predict.one_by_one, data=data, draws=DRAWS)
    plain = passes(predict.with_dropout(bench.device), layout=torch.contiguous_format)
    subjects: dict[str, rounds.Work] = {"plain passes": plain}
    for full, other in predict.LIMITS:
        net, subjects[full] = predict.ours(full, data, DRAWS)
        if other not in subjects:
            layout = torch.contiguous_format if bench.on_gpu else torch.channels_last
            subjects[other] = passes(net, layout=layout)
    return rounds.rows(
        "predict", rounds.interleaved(subjects, bench.rounds), dict(tuple(predict.LIMITS))
    )


def attacked(bench: Bench, one: Attack, levels: tuple[float, ...]) -> list[Row]:
    """Time an attack with its predictions on each method."""
    data = bench.some(512)
    models = {name: attack.trained(name, bench.device) for name in METHODS}
    work = {
        name: partial(attack.attack, model, one, data, levels) for name, model in models.items()
    }
    measured = rounds.interleaved(work, bench.rounds)
    title = f"{type(one).__name__.lower()} {len(data)} images"
    return rounds.rows(title, measured, dict.fromkeys(METHODS, "map"))


def measurements(bench: Bench) -> dict[str, Callable[[], list[Row]]]:
    """Return what is measured, by name; those that others are held against come first."""
    return {
        **{f"epoch of {name}": partial(epoch, bench, name) for name in METHODS},
        "share of the device's rate": partial(share, bench),
        **{f"5 seeds of {name} together": partial(together, bench, name) for name in TOGETHER},
        **{f"precisions of {name}": partial(precision, bench, name) for name in SECONDS},
        **{f"how busy the device is with {name}": partial(busy, bench, name) for name in METHODS},
        "training steps": partial(step, bench),
        f"{DRAWS} draws": partial(draws, bench),
        "FGSM at six levels": partial(attacked, bench, FGSM(), attack.EPSILONS),
        "PGD, 20 steps of 10 draws": partial(attacked, bench, PGD(), (0.1,)),
    }


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in what takes longer."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    if seconds <= 0:
        raise OutOfTime
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(
        signal.ITIMER_REAL, seconds, 1
    )  # again: what Python calls while it tidies up drops exceptions
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def measure(bench: Bench, deadline: float) -> tuple[list[Row], bool]:
    """Print each measurement as it is made; return their rows, and whether none failed."""
    made: list[Row] = []
    sound = True
    for name, work in measurements(bench).items():
        print(f"\n{name}")
        try:
            with at_most(
                (deadline - time.monotonic()) / 2
            ):  # a slow one does not cost all after it
                own = work()
        except OutOfTime:
            print("not measured: out of time")
        except Exception:
            sound = False
            print(f"failed:\n{traceback.format_exc()}")
        else:
            rounds.show(own, LIMITS if bench.on_gpu else None)
            made += own
    return made, sound


def tested(deadline: float) -> bool:
    """Return whether the tests marked cuda pass in time."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "cuda",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/test_cuda.py",
    ]
    try:
        with at_most(deadline - time.monotonic()):
            return subprocess.run(command).returncode == 0
    except OutOfTime:
        print("the tests marked cuda are not over: out of time")
        return False


def mnist(folder: Path | None, count: int) -> Examples:
    """Return the first training images of MNIST, or random ones of their size where there are none."""
    if folder is not None:
        try:
            return load(Plugins().spec("dataset", "mnist").value, "train", folder, 0)[:count]
        except MissingData as error:
            print(error)
    print("the images are random bytes of MNIST's size")
    rng = np.random.default_rng(0)
    return Examples(
        rng.integers(0, 256, (count, 1, 28, 28), dtype=np.uint8), rng.integers(0, 10, count)
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument(
        "--data-dir", type=Path, help="the folder with MNIST; left out: random images"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/gpu.csv"))
    parser.add_argument(
        "--seconds", type=float, default=470, help="after which nothing more is measured"
    )
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument(
        "--epochs", type=int, default=5, help="of each training, one to warm up aside"
    )
    parser.add_argument("--rounds", type=int, default=5, help="of everything but epochs")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    deadline = time.monotonic() + arguments.seconds
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # seen at once where it is no terminal
    torch.set_num_threads(arguments.threads)
    where = arguments.device
    if where == "cpu":
        print("the tests marked cuda are left out: the device is the CPU")
    elif not torch.cuda.is_available():
        raise SystemExit("no CUDA device")
    elif not tested(deadline):
        raise SystemExit("nothing is timed: the tests marked cuda did not pass")
    else:
        where = f"cuda: {torch.cuda.get_device_name()}"
    print(f"{where}, {arguments.threads} threads, torch {torch.__version__}")
    images = mnist(arguments.data_dir, arguments.images)
    print(f"an epoch is of {len(images):,} images")
    bench = Bench(torch.device(arguments.device), images, arguments.epochs, arguments.rounds)
    with tensor_cores(tf32=False):
        made, sound = measure(bench, deadline)
    rounds.write(arguments.out, [dataclasses.replace(row, device=where) for row in made])
    if not sound:
        raise SystemExit("some measurements failed")


if __name__ == "__main__":
    main()
