"""How many images an attack leaves right beside AutoAttack's standard version, on the digits.

    python -m benchmarks.strength                   # map and an ensemble of three; an hour
    python -m benchmarks.strength --images 60       # minutes

The gradients are counted per image and network, and stand beside those of 20 fixed steps. Needs
``pip install "bench-uq[autoattack]"``.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench_uq.conditions.autoattack import Averaged
from bench_uq.conditions.pgd import PGD
from bench_uq.plan.examples import load
from bench_uq.plan.plugins import Plugins
from bench_uq.predict.predict import Trained
from bench_uq.train.loop import train
from bench_uq.train.resident import Resident
from bench_uq.train.settings import BLOCK, Settings
from bench_uq.train.splits import fitted, training_splits

LEVELS = {"linf": 0.1, "l2": 0.5}
NORMS = {"linf": "Linf", "l2": "L2"}


class Counted:
    """The draws of trained networks; those with a gradient are counted, image by image."""

    def __init__(self, model: Trained) -> None:
        self.model, self.gradients = model, 0

    def __call__(self, inputs: Tensor, draws: int) -> Iterator[Tensor]:
        """Yield them as the networks do."""
        for chunk in self.model.chunks(inputs, draws):
            if chunk.requires_grad:
                self.gradients += chunk.shape[0] * chunk.shape[1]
            yield chunk


def trained(name: str, epochs: int) -> Trained:
    """Train a method on the digits as the quick suite does, by seed 0."""
    plugins, device = Plugins(), torch.device("cpu")
    method, data = plugins.spec("method", name).value, plugins.spec("dataset", "digits").value
    settings = Settings(epochs=epochs, batch=64)
    splits = training_splits(load(data, "train", Path(), 0), settings, 0)
    task = dataclasses.replace(fitted(data.task(Path()), splits[0]), network="lenet")

    shown = (Resident(splits[0], device, settings.batch), Resident(splits[1], device, BLOCK))
    nets, _ = train(method, task, shown, settings, 0)
    return Trained(method, task, nets.eval(), 0)


def left(model: Trained, images: Tensor, labels: Tensor) -> str:
    """The accuracy of the reported predictor."""
    with torch.no_grad():
        right = Averaged(model.chunks, 2)(images).argmax(-1) == labels
    return f"{right.double().mean():.3f}"


def row(model: Trained, norm: str, images: Tensor, labels: Tensor) -> str:
    """Accuracies after 20 fixed steps, PGD and AutoAttack, and the gradients of PGD."""
    from pyautoattack import AutoAttack

    cells, counts = [], []
    for attack in (PGD(norm=norm, step_size=2.5 / 20, restarts=1), PGD(norm=norm)):
        counted = Counted(model)
        rng = torch.Generator().manual_seed(0)
        (found,) = attack(counted, images, labels, [LEVELS[norm]], rng)
        cells.append(left(model, found, labels))
        counts.append(counted.gradients)

    # Two draws: a single one would be one member of an ensemble, two are each of its members.
    net = Averaged(model.chunks, 2)
    standard = AutoAttack(net, norm=NORMS[norm], eps=LEVELS[norm], version="standard", seed=0)
    found, _ = standard.run_standard_evaluation(images, labels, batch_size=len(images))
    times = f"{counts[1] / counts[0]:.1f}"
    return " | ".join([*cells, times, left(model, found, labels)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=360)
    arguments = parser.parse_args()

    data = load(Plugins().spec("dataset", "digits").value, "test", Path(), 0)[: arguments.images]
    images, labels = torch.tensor(data.inputs.astype(np.float32)), torch.tensor(data.targets)
    if data.inputs.dtype == np.uint8:
        images = images / 255

    print("| | 20 fixed steps | pgd | gradients, times | AutoAttack |")
    print("|---|---:|---:|---:|---:|")
    for name, epochs in (("map", 60), ("ensemble[members=3]", 40)):
        model = trained(name, epochs)
        for norm, level in LEVELS.items():
            print(f"| {name}, {norm} {level} | {row(model, norm, images, labels)} |", flush=True)


if __name__ == "__main__":
    main()
