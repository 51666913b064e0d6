"""How many images an attack leaves right: PGD beside AutoAttack, and draws beside more draws.

    python -m benchmarks.strength                             # the digits; four minutes
    python -m benchmarks.strength --dataset mnist --data-dir DIR  # 20,000 training images

The first table compares PGD with AutoAttack's standard version on fixed predictors: ``map`` and an
ensemble of three. The gradients are counted per image and network, and stand beside those of 20
fixed steps. The second shows FGSM on methods that draw: the more draws its gradient has, the
stronger it is. Needs ``pip install "bench-uq[autoattack]"``.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench_uq.conditions.autoattack import AutoAttack, Averaged
from bench_uq.conditions.fgsm import FGSM
from bench_uq.conditions.pgd import PGD
from bench_uq.plan.examples import load
from bench_uq.plan.plugins import Plugins
from bench_uq.predict.predict import Trained
from bench_uq.train.loop import train
from bench_uq.train.resident import Resident
from bench_uq.train.settings import BLOCK, Settings
from bench_uq.train.splits import fitted, training_splits

FIXED = ("map", "ensemble[members=3]")
RANDOM = ("dropout", "mean-field")
#: Draws of FGSM's gradient; 0 for as many as its direction needs.
DRAWS = (10, 0, 80, 200)


@dataclasses.dataclass(frozen=True)
class Setting:
    """A dataset, how long methods train on it, and the distances of attacks."""

    epochs: dict[str, int]
    train_images: int | None
    levels: dict[str, float]
    fgsm: tuple[float, ...]


SETTINGS = {
    "digits": Setting(
        {"map": 60, "ensemble[members=3]": 40, "dropout": 60, "mean-field": 40},
        None,
        {"linf": 0.1, "l2": 0.5},
        (0.1, 0.2),
    ),
    "mnist": Setting(
        {"map": 5, "ensemble[members=3]": 5, "dropout": 5, "mean-field": 20},
        20_000,
        {"linf": 0.1, "l2": 1.5},
        (0.1, 0.2),
    ),
}


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


def trained(name: str, dataset: str, folder: Path, device: torch.device) -> Trained:
    """Train a LeNet by seed 0."""
    chosen = SETTINGS[dataset]
    plugins = Plugins()
    method = plugins.spec("method", name).value
    data = plugins.spec("dataset", dataset).value
    settings = Settings(epochs=chosen.epochs[name], batch=64)
    examples = load(data, "train", folder, 0)[: chosen.train_images]
    splits = training_splits(examples, settings, 0)
    task = dataclasses.replace(fitted(data.task(folder), splits[0]), network="lenet")

    shown = (Resident(splits[0], device, settings.batch), Resident(splits[1], device, BLOCK))
    nets, _ = train(method, task, shown, settings, 0)
    return Trained(method, task, nets.eval(), 0)


def left(model: Trained, images: Tensor, labels: Tensor, draws: int = 2) -> str:
    """The accuracy of the reported predictor."""
    torch.manual_seed(1)
    with torch.no_grad():
        right = Averaged(model.chunks, draws)(images).argmax(-1) == labels
    return f"{right.double().mean():.3f}"


def row(model: Trained, norm: str, level: float, images: Tensor, labels: Tensor) -> str:
    """Accuracies after 20 fixed steps, PGD and AutoAttack, and the gradients of PGD."""
    cells, counts = [], []
    for attack in (PGD(norm=norm, step_size=2.5 / 20, restarts=1), PGD(norm=norm)):
        counted = Counted(model)
        rng = torch.Generator().manual_seed(0)
        (found,) = attack(counted, images, labels, [level], rng)
        cells.append(left(model, found, labels))
        counts.append(counted.gradients)

    # Two draws: a single one would be one member of an ensemble, two are each of its members.
    standard = AutoAttack(draws=2, norm=norm, version="standard")
    rng = torch.Generator().manual_seed(0)
    (found,) = standard(model.chunks, images, labels, [level], rng)
    times = f"{counts[1] / counts[0]:.1f}"
    return " | ".join([*cells, times, left(model, found, labels)])


def row_of_draws(model: Trained, level: float, images: Tensor, labels: Tensor) -> str:
    """Accuracies of 200 draws after FGSM with several numbers of draws."""
    cells = []
    for draws in DRAWS:
        torch.manual_seed(0)
        rng = torch.Generator().manual_seed(0)
        (found,) = FGSM(draws=draws)(model.chunks, images, labels, [level], rng)
        cells.append(left(model, found, labels, draws=200))
    return " | ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", choices=SETTINGS, default="digits")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--images", type=int, default=360)
    parser.add_argument("--device", type=torch.device, default="cpu")
    arguments = parser.parse_args()

    chosen, folder, device = SETTINGS[arguments.dataset], arguments.data_dir, arguments.device
    data = load(Plugins().spec("dataset", arguments.dataset).value, "test", folder, 0)
    shown = data[: arguments.images]
    images, labels = torch.tensor(shown.inputs.astype(np.float32)), torch.tensor(shown.targets)
    if data.inputs.dtype == np.uint8:
        images = images / 255
    images, labels = images.to(device), labels.to(device)

    print("| | 20 fixed steps | pgd | gradients, times | AutoAttack |")
    print("|---|---:|---:|---:|---:|")
    for name in FIXED:
        model = trained(name, arguments.dataset, folder, device)
        for norm, level in chosen.levels.items():
            found = row(model, norm, level, images, labels)
            print(f"| {name}, {norm} {level} | {found} |", flush=True)

    print()
    print("| FGSM with draws |", " | ".join(str(draws or "as needed") for draws in DRAWS), "|")
    print("|---|" + "---:|" * len(DRAWS))
    for name in RANDOM:
        model = trained(name, arguments.dataset, folder, device)
        for level in chosen.fgsm:
            found = row_of_draws(model, level, images, labels)
            print(f"| {name}, {level} | {found} |", flush=True)


if __name__ == "__main__":
    main()
