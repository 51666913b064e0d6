"""How time grows with seeds, members, draws and data: small networks on digits, through the functions of the engine.

Each is doubled three times; the exponent is the slope of log time over log size, 1 where twice the work takes twice as
long, less where part of it is shared.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import statistics
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
from bench_uq.train.resident import Resident, fitted
from bench_uq.train.settings import Settings
from benchmarks import rounds

FACTORS = (1, 2, 4, 8)


def digits() -> tuple[Task, Examples]:
    """Return the embedded digits and their task."""
    dataset = Plugins().spec("dataset", "digits").value
    examples = load(dataset, "train", Path(), 0)
    return fitted(dataset.task(Path()), examples), examples


def training(full: str, times: int = 1, **changes: int) -> Callable[[], None]:
    """Return a training of two epochs, the data repeated so often and some options of the method changed."""
    task, examples = digits()
    method = dataclasses.replace(Plugins().spec("method", full).value, **changes)
    more = Examples(
        np.concatenate([examples.inputs] * times), np.concatenate([examples.targets] * times)
    )
    settings = Settings(epochs=2)

    def work() -> None:
        data = (
            Resident(more, torch.device("cpu"), settings.batch),
            Resident(more[:100], torch.device("cpu"), 100),
        )
        train(method, task, data, settings, 0)

    return work


def seeds(full: str, count: int) -> Callable[[], None]:
    """Return so many trainings, one a seed."""
    one = training(full)
    return lambda: [one() for _ in range(count)] and None


def together(full: str, count: int) -> Callable[[], None]:
    """Return the training of so many seeds as one batch of networks."""
    task, examples = digits()
    method, settings = Plugins().spec("method", full).value, Settings(epochs=2)

    def work() -> None:
        own = (
            Resident(examples, torch.device("cpu"), settings.batch),
            Resident(examples[:100], torch.device("cpu"), 100),
        )
        train_together(method, [task] * count, [own] * count, settings, list(range(count)))

    return work


def predicting(full: str, draws: int) -> Callable[[], None]:
    """Return a prediction of 512 images with so many draws."""
    task, examples = digits()
    method = Plugins().spec("method", full).value
    model = Trained(
        method, task, nn.ModuleList([build(method, task, torch.device("cpu")).eval()]), 0
    )
    data = Resident(examples[:512], torch.device("cpu"), 128)
    return lambda: predict(model, data, len(data), draws, labelled=False) and None


#: What grows, of which method, from what size.
GROWING: dict[tuple[str, str, int], Callable[[int], Callable[[], None]]] = {
    ("seeds", "map", 1): lambda factor: seeds("map", factor),
    ("seeds together", "map", 1): lambda factor: together("map", factor),
    ("seeds", "mnf", 1): lambda factor: seeds("mnf", factor),
    ("seeds together", "mnf", 1): lambda factor: together("mnf", factor),
    ("members", "ensemble", 1): lambda factor: training("ensemble", members=factor),
    ("training examples", "map", 1437): lambda factor: training("map", times=factor),
    ("training examples", "mnf", 1437): lambda factor: training("mnf", times=factor),
    ("draws", "dropout[where=last]", 25): lambda factor: predicting(
        "dropout[where=last]", 25 * factor
    ),
    ("draws", "dropout", 25): lambda factor: predicting("dropout", 25 * factor),
    ("draws", "mean-field", 25): lambda factor: predicting("mean-field", 25 * factor),
    ("draws", "mnf", 25): lambda factor: predicting("mnf", 25 * factor),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/scale.csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    lines = []
    print(
        f"digits, {arguments.threads} threads, torch {torch.__version__}: milliseconds at 1, 2, 4 and 8 times the size"
    )
    for (what, method, start), work in GROWING.items():
        measured = rounds.interleaved(
            {str(factor): work(factor) for factor in FACTORS}, arguments.rounds
        )
        medians = [
            1000 * statistics.median(one[str(factor)] for one in measured) for factor in FACTORS
        ]
        slope = float(np.polyfit(np.log(FACTORS), np.log(medians), 1)[0])
        print(
            f"{what:18} {method:20} "
            + " ".join(f"{value:8.1f}" for value in medians)
            + f"   exponent {slope:.2f}"
        )
        lines += [
            [what, method, start * factor, median]
            for factor, median in zip(FACTORS, medians, strict=True)
        ]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with arguments.out.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(
            [["what", "method", "size", "milliseconds"], *lines]
        )
    print(f"written: {arguments.out}")


if __name__ == "__main__":
    main()
