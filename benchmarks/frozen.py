"""Training on a frozen backbone with its features computed once, beside the same in every epoch.

The backbone is a ResNet-18 of torchvision with random weights, on random images of 32x32 pixels:
its time does not depend on them. Both trainings are on one thread, interleaved over rounds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from bench_uq.api.likelihoods import Categorical
from bench_uq.api.task import Examples, Task
from bench_uq.plan.plugins import Plugins
from bench_uq.train.loop import train
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings


def data(images: int) -> tuple[Resident, Resident]:
    """Images to train on, and a ninth as many held out, as in a suite."""
    rng = np.random.default_rng(0)
    found = []
    for count in (images, images // 9):
        pixels = rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
        examples = Examples(pixels, rng.integers(0, 10, count))
        found.append(Resident(examples, torch.device("cpu"), 128))
    return found[0], found[1]


def trained(name: str, task: Task, images: int, epochs: int) -> tuple[float, nn.ModuleList]:
    """Seconds of a training, and its networks."""
    method = Plugins().spec("method", name).value
    start = time.perf_counter()
    nets, _ = train(method, task, data(images), Settings(epochs=epochs), 0)
    return time.perf_counter() - start, nets


def main() -> None:
    """Print the seconds of both, their ratio, and how far the trained weights are apart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=900)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=["map", "mean-field"])
    chosen = parser.parse_args()

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        weights = Path(folder) / "weights.safetensors"
        save_file(torchvision.models.resnet18(num_classes=10).state_dict(), weights)
        network = f"torchvision:resnet18[weights={weights},frozen=true]"
        task = Task((3, 32, 32), Categorical(10), (0.5,) * 3, (0.25,) * 3, network)

        for name in chosen.methods:
            once, always = list[float](), list[float]()
            for _ in range(chosen.rounds):
                seconds, nets = trained(name, task, chosen.images, chosen.epochs)
                once.append(seconds)
                # Without a frozen stage, all stages see the inputs in every epoch.
                with patch("bench_uq.train.frozen.frozen_stages", lambda net: []):
                    seconds, others = trained(name, task, chosen.images, chosen.epochs)
                always.append(seconds)

            apart = max(
                float((one - other).detach().abs().max())
                for one, other in zip(nets.parameters(), others.parameters(), strict=True)
            )
            ratio = statistics.median(a / b for a, b in zip(once, always, strict=True))
            print(
                f"{name}: {statistics.median(once):.1f} s once, {statistics.median(always):.1f} s "
                f"in each of {chosen.epochs} epochs; ratio {ratio:.2f}, weights apart {apart:.1e}",
                flush=True,
            )


if __name__ == "__main__":
    main()
