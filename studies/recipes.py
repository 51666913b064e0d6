"""The recipes of the shipped suites: a small search on validation data.

    python -m studies.recipes                                   # the digits, about an hour
    python -m studies.recipes --dataset mnist --data-dir DIR    # hours
    python -m studies.recipes --dataset cubic --methods map mnf --validation 0.05
    python -m studies.recipes --dataset "uci[name=boston]" --data-dir DIR --epochs 40 100

Each row is a method under a recipe, in means over seeds: the NLL in nats of examples that are held
out from the training split, with its standard error, their share of errors or RMSE, and the loss at
the end. Test data are not read. CPU seconds are those of training one seed on one thread.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
#: No seeds of a shipped suite.
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


@dataclass(frozen=True)
class Grid:
    """The recipes that are tried on a dataset."""

    batches: tuple[int, ...]
    epochs: tuple[int, ...]
    rates: tuple[float, ...]


#: By plain name of the dataset.
GRIDS = {
    "digits": Grid((64, 128), (60,), (1e-3, 3e-3, 1e-2)),
    "mnist": Grid((128,), (12,), (1e-3, 2e-3, 3e-3)),
    "cubic": Grid((32,), (10_000,), (1e-3, 3e-3, 1e-2)),
    "uci": Grid((32,), (100,), (1e-3, 3e-3, 1e-2)),
}


def recipes(grid: Grid, validation: float) -> Iterator[Settings]:
    """A constant rate of 1e-3, and cosines from several rates, for each size of a batch."""
    for epochs, batch in itertools.product(grid.epochs, grid.batches):
        same = Settings(epochs=epochs, batch=batch, validation=validation)
        yield same
        for rate in grid.rates:
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
    found = predicted(method, list(nets), inputs, targets)
    if "probs" in found:
        error = (found["probs"].argmax(-1) != targets).double().mean()
    else:
        error = (found["mean"] - targets).square().mean().sqrt()
    return {
        "nll": -found["log_density"].double().mean().item(),
        "error": error.item(),
        "loss": curve[-1].loss,
        "seconds": seconds,
    }


@torch.no_grad()
def predicted(
    method: Method, nets: Sequence[nn.Module], inputs: Tensor, targets: Tensor
) -> dict[str, Tensor]:
    """The mixture over draws, as runs store it."""
    torch.manual_seed(0)
    likelihood, draws = task_of(nets[0]).likelihood, []
    for net in nets:
        outputs = method.draws(net.eval(), inputs, max(1, DRAWS // len(nets)))
        draws.append(likelihood.normalise(outputs))
    found: dict[str, Tensor] = likelihood.mixture(torch.cat(draws), targets)
    return found


def row(name: str, settings: Settings, found: Sequence[dict[str, float]]) -> str:
    """Means over seeds, and the standard error of that of the NLL."""
    mean = {}
    for key in found[0]:
        mean[key] = float(np.mean([one[key] for one in found]))
    se = np.std([one["nll"] for one in found], ddof=1) / np.sqrt(len(found))
    rate = "0.001, constant"
    if settings.learning_rate:
        rate = f"{settings.learning_rate:g}, cosine"
    cells = [
        f"`{name}`",
        settings.epochs,
        settings.batch,
        rate,
        f"{mean['nll']:.3f} ± {se:.3f}",
        f"{mean['error']:.4f}",
        f"{mean['loss']:.3f}",
        f"{mean['seconds']:.1f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--epochs", nargs="+", type=int)
    parser.add_argument("--batch", nargs="+", type=int)
    parser.add_argument("--rates", nargs="+", type=float)
    parser.add_argument("--validation", type=float, default=0.1)
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    return parser.parse_args()


def main() -> None:
    given: Any = arguments()
    torch.set_num_threads(1)
    plugins = Plugins()
    spec = plugins.spec("dataset", given.dataset)
    known = GRIDS[spec.plain]
    grid = Grid(
        tuple(given.batch or known.batches),
        tuple(given.epochs or known.epochs),
        tuple(given.rates or known.rates),
    )

    print("| method | epochs | batch | rate | NLL | error or RMSE | loss | CPU s |")
    print("|---|---:|---:|---|---:|---:|---:|---:|")
    for name in given.methods:
        method = plugins.spec("method", name).value
        for settings in recipes(grid, given.validation):
            found = []
            for seed in given.seeds:
                found.append(held_out(method, spec.value, given.data_dir, settings, seed))
            print(row(name, settings, found), flush=True)


if __name__ == "__main__":
    main()
