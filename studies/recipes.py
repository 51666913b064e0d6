"""The recipes of the shipped suites: a small search on validation data.

    python -m studies.recipes                                   # the digits, about half an hour
    python -m studies.recipes --dataset mnist --data-dir DIR    # hours

Each row is a method under a recipe: means over seeds of the NLL of one training in nats, on examples
that are held out from the training split, of their accuracy, and of the loss at the end. Test data
are not read. CPU seconds are those of the training of one seed, on one thread.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench_uq.api import Dataset, Method, task_of
from bench_uq.plan.examples import load
from bench_uq.plan.plugins import Plugins
from bench_uq.train.loop import train
from bench_uq.train.resident import Resident
from bench_uq.train.settings import BLOCK, Settings
from bench_uq.train.splits import fitted, training_splits

DRAWS = 50
#: None of them is a seed of a shipped suite.
SEEDS = (100, 101, 102)

METHODS = (
    "map",
    "dropout",
    "dropout[rate=0.1]",
    "ensemble",
    "mean-field",
    "mean-field[kl_weight=0.1]",
    "mnf",
    "mnf[kl_weight=0.1]",
)
RATES = {"digits": (1e-3, 3e-3, 1e-2), "mnist": (1e-3, 2e-3, 3e-3)}
BATCHES = {"digits": (64, 128), "mnist": (128,)}
EPOCHS = {"digits": (60,), "mnist": (12,)}


def recipes(dataset: str, epochs: Sequence[int]) -> Iterator[Settings]:
    """A constant rate of 1e-3, and cosines from several rates, for each size of a batch."""
    for count, batch in itertools.product(epochs, BATCHES[dataset]):
        same = Settings(epochs=count, batch=batch)
        yield same
        for rate in RATES[dataset]:
            yield dataclasses.replace(same, learning_rate=rate, schedule="cosine")


def held_out(
    method: Method, data: Dataset, folder: Path, settings: Settings, seed: int
) -> dict[str, float]:
    """Train one seed, and score it on the held-out examples."""
    splits = training_splits(load(data, "train", folder, seed), settings, seed)
    task = fitted(data.task(folder), splits[0])
    device = torch.device("cpu")
    shown = (Resident(splits[0], device, settings.batch), Resident(splits[1], device, BLOCK))

    start = time.process_time()
    nets, curve = train(method, task, shown, settings, seed)
    seconds = time.process_time() - start

    inputs, targets = shown[1].take(slice(0, len(splits[1])))
    log_probs = predicted(method, list(nets), inputs)
    right = log_probs.argmax(-1) == targets
    nll = -log_probs.gather(1, targets[:, None]).mean()
    return {
        "nll": nll.item(),
        "accuracy": right.double().mean().item(),
        "loss": curve[-1].loss,
        "seconds": seconds,
    }


@torch.no_grad()
def predicted(method: Method, nets: Sequence[nn.Module], inputs: Tensor) -> Tensor:
    """Log-probabilities (B, C) of the mean over draws."""
    torch.manual_seed(0)
    draws = []
    for net in nets:
        outputs = method.draws(net.eval(), inputs, max(1, DRAWS // len(nets)))
        draws.append(task_of(net).likelihood.normalise(outputs))
    log_probs = torch.cat(draws).double()
    return log_probs.logsumexp(0) - math.log(len(log_probs))


def row(name: str, settings: Settings, found: Sequence[dict[str, float]]) -> str:
    """Means over seeds, and the standard error of that of the NLL."""
    mean = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
    error = np.std([one["nll"] for one in found], ddof=1) / np.sqrt(len(found))
    rate = f"{settings.learning_rate:g}, cosine" if settings.learning_rate else "1e-3, constant"
    return (
        f"| `{name}` | {settings.epochs} | {settings.batch} | {rate} | {mean['nll']:.3f} ± {error:.3f}"
        f" | {mean['accuracy']:.4f} | {mean['loss']:.3f} | {mean['seconds']:.1f} |"
    )


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", choices=RATES, default="digits")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--epochs", nargs="+", type=int)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    return parser.parse_args()


def main() -> None:
    given: Any = arguments()
    torch.set_num_threads(1)
    plugins = Plugins()
    data = plugins.spec("dataset", given.dataset).value

    print("| method | epochs | batch | rate | NLL | accuracy | loss | CPU s |")
    print("|---|---:|---:|---|---:|---:|---:|---:|")
    for name in given.methods:
        method = plugins.spec("method", name).value
        for settings in recipes(given.dataset, given.epochs or EPOCHS[given.dataset]):
            found = [held_out(method, data, given.data_dir, settings, seed) for seed in given.seeds]
            print(row(name, settings, found), flush=True)


if __name__ == "__main__":
    main()
