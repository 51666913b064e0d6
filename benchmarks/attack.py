"""The cost of attacks: passes of an FGSM sweep, seconds of PGD, LeNet on images of MNIST's size.

    python -m benchmarks.attack     # passes, and seconds of PGD on 1,000 images, all methods
    python -m benchmarks.attack --images 10000 --methods map,dropout

A pass is one draw of one image. PGD is timed per method, interleaved; the ratio is to ``map``.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bench_uq.api.condition import Attack
from bench_uq.api.method import Method
from bench_uq.api.task import Examples
from bench_uq.conditions.fgsm import FGSM
from bench_uq.conditions.pgd import PGD
from bench_uq.plan.plugins import Plugins
from bench_uq.predict.predict import Change, Trained, predict_changed
from bench_uq.train.loop import build
from bench_uq.train.resident import Resident
from bench_uq.train.settings import BLOCK
from benchmarks import rounds
from benchmarks.steps import TASK

METHODS = ("map", "dropout", "ensemble", "mean-field", "mnf")
EPSILONS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
DRAWS = 20  # of a prediction


@dataclass(frozen=True)
class Counted(Method):
    """A method that counts the draws that go forward, with a gradient or without, and back."""

    method: Method = None  # type: ignore[assignment]
    passes: Counter[str] = None  # type: ignore[assignment]

    def build(self, task: object) -> nn.Module:
        """Build nothing: the networks are there."""
        raise NotImplementedError

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """Draw as the method does."""
        found = self.method.draws(net, inputs, count)
        images = found.shape[0] * found.shape[1]
        if found.requires_grad:
            self.passes["forward with gradient"] += images
            found.register_hook(lambda gradient: self.passes.update({"back": images}))
        else:
            self.passes["forward"] += images
        return found


def trained(name: str, device: torch.device) -> Trained:
    """Untrained networks of a method: the cost of an attack does not depend on their weights."""
    method = Plugins().spec("method", name).value
    nets = nn.ModuleList(build(method, TASK, device) for _ in range(method.members)).eval()
    return Trained(method, TASK, nets, seed=0)


def images(count: int, device: torch.device) -> Resident:
    """Random images on the device."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, 1, 28, 28), dtype=np.uint8)
    return Resident(Examples(pixels, rng.integers(0, 10, count)), device, BLOCK)


def attack(model: Trained, one: Attack, data: Resident, levels: Sequence[float]) -> float:
    """Seconds of an attack with its predictions."""
    start = time.perf_counter()
    predict_changed(model, Change(one, "attack", levels, model), data, len(data), DRAWS)
    return time.perf_counter() - start


def count_passes(names: Sequence[str], device: torch.device) -> None:
    """Print the passes of an FGSM sweep beside one gradient and one prediction per level."""
    data, levels = images(BLOCK, device), len(EPSILONS)
    print(f"FGSM at {levels} levels, predictions of {DRAWS}; per image:\n")
    print("| method | forward with gradient | back | forward | ten draws + predictions per level |")
    print("| --- | ---: | ---: | ---: | ---: |")

    for name in names:
        model = trained(name, device)
        passes = Counter[str]()
        counted = Trained(Counted(method=model.method, passes=passes), TASK, model.nets, seed=0)
        attack(counted, FGSM(), data, EPSILONS)

        with torch.no_grad():
            image = data.take(slice(0, 1))[0]
            gradient = len(model.draws(image, 10))
            prediction = len(model.draws(image, DRAWS))

        kinds = [passes[kind] // BLOCK for kind in ("forward with gradient", "back", "forward")]
        cells = " | ".join(map(str, kinds))
        print(f"| {name} | {cells} | {gradient} + {levels} x {prediction} |")


def time_pgd(
    names: Sequence[str], count: int, repeats: int, device: torch.device
) -> list[rounds.Row]:
    """Time PGD at one level, and print the seconds."""
    data, models = images(count, device), {name: trained(name, device) for name in names}
    for model in models.values():
        attack(model, FGSM(), images(BLOCK, device), [0.1])  # warm-up; PGD would take minutes

    found = []
    for _ in range(repeats):
        found.append({name: attack(model, PGD(), data, [0.1]) for name, model in models.items()})

    print(f"\nPGD, one level, {count:,} images, {repeats} rounds:\n")
    print(f"| method | seconds | times {names[0]} |\n| --- | ---: | ---: |")
    for name in names:
        ratio = statistics.median(seconds[name] / seconds[names[0]] for seconds in found)
        print(f"| {name} | {rounds.median(found, name):.1f} | {ratio:.1f} |")
    return rounds.rows(f"pgd {count} images", found, dict.fromkeys(names, names[0]), device.type)


def main() -> None:
    parser = rounds.parser(__doc__, "attack.csv", rounds=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--methods", default=",".join(METHODS))
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    device, names = torch.device(arguments.device), arguments.methods.split(",")
    print(f"{arguments.device}, {arguments.threads} threads, torch {torch.__version__}\n")
    count_passes(names, device)
    rounds.write(arguments.out, time_pgd(names, arguments.images, arguments.rounds, device))


if __name__ == "__main__":
    main()
