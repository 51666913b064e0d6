"""One command for a GPU, done within eight minutes: first the tests for it, then the speed.

    python -m benchmarks.gpu --data-dir DIR
    python -m benchmarks.gpu --device cpu --images 500 --epochs 1 --rounds 1 --threads 1   # a trial

If a test marked cuda fails, nothing is timed. Every time is printed as soon as it is measured, and
so is every measurement that no longer fits. An epoch is the engine's own, with the row of its
training curve, after one to warm up. Everything is computed in full float32 unless another
precision is named.
"""

from __future__ import annotations

import dataclasses
import math
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

import numpy as np
import torch

from bench_uq.api.condition import Attack
from bench_uq.api.errors import MissingData
from bench_uq.api.task import Examples
from bench_uq.conditions.fgsm import FGSM
from bench_uq.conditions.pgd import PGD
from bench_uq.plan.examples import load
from bench_uq.plan.plugins import Plugins
from bench_uq.train.precision import tensor_cores
from bench_uq.train.resident import Resident
from benchmarks import attack, epochs, predict, rounds, steps
from benchmarks.epochs import BATCH, SECONDS, Bench
from benchmarks.rounds import Row
from benchmarks.steps import METHODS, TASK

DRAWS = 100
TOGETHER = ("ensemble[members=5]", "map", "mnf")
#: The largest ratio that we accept on a GPU, of networks trained together to one alone.
LIMITS = {("ensemble[members=5], 5 seeds", "map"): 3.0}
PYTEST = [sys.executable, "-m", "pytest", "-m", "cuda", "-q", "-p", "no:cacheprovider"]


class OutOfTime(BaseException):
    """The time of a measurement is over; a BaseException, which no code on its way catches."""


def step(bench: Bench) -> list[Row]:
    """Time training steps against plain PyTorch's; peers that fail on the device are left out."""
    subjects = {}
    for name, work in steps.subjects(TASK, BATCH, str(bench.device)).items():
        try:
            work()
            subjects[name] = work
        except Exception:
            if name in METHODS:
                raise
            print(f"{name} is left out, it does not run on {bench.device}:")
            print(traceback.format_exc(limit=1))

    measured = rounds.interleaved(subjects, bench.rounds, 20 if bench.on_gpu else 1)
    return rounds.rows("step lenet", measured, dict.fromkeys(subjects, "plain"))


def some(bench: Bench, most: int) -> Resident:
    """A few random images for predictions, fewer in a short trial."""
    return attack.images(min(most, math.ceil(len(bench.images) / 10)), bench.device)


def draws(bench: Bench) -> list[Row]:
    """Time 100 draws against 100 passes one by one."""
    data = some(bench, 384)
    passes = partial(predict.one_by_one, data=data, draws=DRAWS)
    plain = passes(predict.with_dropout(bench.device), layout=torch.contiguous_format)

    subjects: dict[str, rounds.Work] = {"plain passes": plain}
    layout = torch.contiguous_format if bench.on_gpu else torch.channels_last
    for full, other in predict.LIMITS:
        net, subjects[full] = predict.ours(full, data, DRAWS)
        if other not in subjects:
            subjects[other] = passes(net, layout=layout)

    measured = rounds.interleaved(subjects, bench.rounds)
    return rounds.rows("predict", measured, dict(tuple(predict.LIMITS)))


def attacked(bench: Bench, one: Attack, levels: tuple[float, ...]) -> list[Row]:
    """Time an attack with its predictions on each method."""
    data = some(bench, 512)
    models = {name: attack.trained(name, bench.device) for name in METHODS}
    work = {}
    for name, model in models.items():
        work[name] = partial(attack.attack, model, one, data, levels)

    measured = rounds.interleaved(work, bench.rounds)
    title = f"{type(one).__name__.lower()} {len(data)} images"
    return rounds.rows(title, measured, dict.fromkeys(METHODS, "map"))


def measurements(bench: Bench) -> dict[str, Callable[[], list[Row]]]:
    """All measurements by name; those that others are compared with come first."""
    found: dict[str, Callable[[], list[Row]]] = {}
    for name in METHODS:
        found[f"epoch of {name}"] = partial(epochs.epoch, bench, name)
    found["share of the device's rate"] = partial(epochs.share, bench)
    for name in TOGETHER:
        found[f"5 seeds of {name} together"] = partial(epochs.together, bench, name)
    for name in METHODS:
        found[f"how busy the device is with {name}"] = partial(epochs.busy, bench, name)

    found |= {
        "training steps": partial(step, bench),
        f"{DRAWS} draws": partial(draws, bench),
        "FGSM at six levels": partial(attacked, bench, FGSM(), attack.EPSILONS),
        "PGD, 20 steps of 10 draws": partial(attacked, bench, PGD(), (0.1,)),
    }
    for name in SECONDS:
        found[f"precisions of {name}"] = partial(epochs.precision, bench, name)
    # The slowest, so the last.
    for name in METHODS:
        found[f"steps of {name} launched one by one"] = partial(epochs.launched, bench, name)
    return found


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in a block that takes longer."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    if seconds <= 0:
        raise OutOfTime
    before = signal.signal(signal.SIGALRM, stop)
    # Every second again: exceptions in code that Python runs while it tidies up are dropped.
    signal.setitimer(signal.ITIMER_REAL, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def measure(bench: Bench, deadline: float) -> tuple[list[Row], bool]:
    """Print each measurement as it is made; return all rows, and whether no measurement failed."""
    made: list[Row] = []
    sound = True
    for name, work in measurements(bench).items():
        print(f"\n{name}")

        try:
            # Half of the time that is left: a slow measurement does not cost all that follow.
            with at_most((deadline - time.monotonic()) / 2):
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
    """Whether the tests marked cuda pass in time."""
    try:
        with at_most(deadline - time.monotonic()):
            return subprocess.run([*PYTEST, "tests/test_cuda.py"]).returncode == 0
    except OutOfTime:
        print("the tests marked cuda are not over: out of time")
        return False


def mnist(folder: Path | None, count: int) -> Examples:
    """The first training images of MNIST, or random ones of their size if the folder has none."""
    if folder is not None:
        try:
            return load(Plugins().spec("dataset", "mnist").value, "train", folder, 0)[:count]
        except MissingData as error:
            print(error)

    print("the images are random bytes of MNIST's size")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, 1, 28, 28), dtype=np.uint8)
    return Examples(pixels, rng.integers(0, 10, count))


def main() -> None:
    parser = rounds.parser(__doc__, "gpu.csv", rounds=5)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--data-dir", type=Path, help="folder with MNIST (default: random images)")
    parser.add_argument("--seconds", type=float, default=470, help="nothing is measured after them")
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--epochs", type=int, default=5, help="per training, without the warm-up")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    deadline = time.monotonic() + arguments.seconds
    # Written line by line even if the output is not a terminal.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
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
    print(f"an epoch has {len(images):,} images")
    bench = Bench(torch.device(arguments.device), images, arguments.epochs, arguments.rounds)
    with tensor_cores(tf32=False):
        made, sound = measure(bench, deadline)
    rounds.write(arguments.out, [dataclasses.replace(row, device=where) for row in made])
    if not sound:
        raise SystemExit("some measurements failed")


if __name__ == "__main__":
    main()
