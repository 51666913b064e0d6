"""Growth of time with seeds, members, draws and data, of small networks on digits.

Each is doubled three times; the exponent is the slope of log time over log size: 1 if twice the
work takes twice as long, less if part of it is shared.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bench_uq.api.task import Examples, Task
from bench_uq.plan.examples import load
from bench_uq.plan.plugins import Plugins
from bench_uq.predict.predict import Trained, predict
from bench_uq.train.batched import train_together
from bench_uq.train.loop import build, train
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings
from bench_uq.train.splits import fitted
from benchmarks import rounds

FACTORS = (1, 2, 4, 8)
CPU = torch.device("cpu")
SETTINGS = Settings(epochs=2)


def digits() -> tuple[Task, Examples]:
    """The embedded digits and their task."""
    dataset = Plugins().spec("dataset", "digits").value
    examples = load(dataset, "train", Path(), 0)
    return fitted(dataset.task(Path()), examples), examples


def resident(examples: Examples) -> tuple[Resident, Resident]:
    """Training data and 100 held-out examples on the device."""
    return Resident(examples, CPU, SETTINGS.batch), Resident(examples[:100], CPU, 100)


def training(full: str, times: int = 1, **changes: int) -> rounds.Work:
    """A training of two epochs on repeated data, with some options of the method changed."""
    task, examples = digits()
    method = dataclasses.replace(Plugins().spec("method", full).value, **changes)
    inputs = np.concatenate([examples.inputs] * times)
    more = Examples(inputs, np.concatenate([examples.targets] * times))
    return lambda: train(method, task, resident(more), SETTINGS, 0)


def seeds(full: str, count: int) -> rounds.Work:
    """This many trainings, one per seed."""
    one = training(full)
    return lambda: [one() for _ in range(count)]


def together(full: str, count: int) -> rounds.Work:
    """The training of this many seeds as one batch of networks."""
    task, examples = digits()
    method = Plugins().spec("method", full).value

    def work() -> None:
        own = resident(examples)
        train_together(method, [task] * count, [own] * count, SETTINGS, list(range(count)))

    return work


def predicting(full: str, draws: int) -> rounds.Work:
    """A prediction of 512 images with this many draws."""
    task, examples = digits()
    method = Plugins().spec("method", full).value
    net = build(method, task, CPU).eval()
    model = Trained(method, task, nn.ModuleList([net]), 0)
    data = Resident(examples[:512], CPU, 128)
    return lambda: predict(model, data, len(data), draws, labelled=False)


#: The work by what grows, the method, and the size that factor 1 stands for.
GROWING: dict[tuple[str, str, int], Callable[[int], rounds.Work]] = {
    ("seeds", "map", 1): lambda factor: seeds("map", factor),
    ("seeds together", "map", 1): lambda factor: together("map", factor),
    ("seeds", "mnf", 1): lambda factor: seeds("mnf", factor),
    ("seeds together", "mnf", 1): lambda factor: together("mnf", factor),
    ("members", "ensemble", 1): lambda factor: training("ensemble", members=factor),
    ("training examples", "map", 1437): lambda factor: training("map", times=factor),
    ("training examples", "mnf", 1437): lambda factor: training("mnf", times=factor),
    ("draws", "dropout[where=last]", 25): lambda n: predicting("dropout[where=last]", 25 * n),
    ("draws", "dropout", 25): lambda factor: predicting("dropout", 25 * factor),
    ("draws", "mean-field", 25): lambda factor: predicting("mean-field", 25 * factor),
    ("draws", "mnf", 25): lambda factor: predicting("mnf", 25 * factor),
}


def main() -> None:
    parser = rounds.parser(__doc__, "scale.csv", rounds=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"digits, {arguments.threads} threads, torch {torch.__version__}: ", end="")
    print("milliseconds at 1, 2, 4 and 8 times the size")

    lines: list[list[object]] = [["what", "method", "size", "milliseconds"]]
    for (what, method, start), work in GROWING.items():
        subjects = {str(factor): work(factor) for factor in FACTORS}
        measured = rounds.interleaved(subjects, arguments.rounds)
        medians = [1000 * rounds.median(measured, name) for name in subjects]

        slope = float(np.polyfit(np.log(FACTORS), np.log(medians), 1)[0])
        times = " ".join(f"{value:8.1f}" for value in medians)
        print(f"{what:18} {method:20} {times}   exponent {slope:.2f}")
        for factor, median in zip(FACTORS, medians, strict=True):
            lines.append([what, method, start * factor, median])

    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with arguments.out.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)
    print(f"written: {arguments.out}")


if __name__ == "__main__":
    main()
