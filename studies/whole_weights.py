"""Draws of outputs against draws of whole weights: what ``sampling=weights`` changes.

    bench-uq run --methods mean-field,mnf --seeds 0-2 --device cpu --results pool
    python -m studies.whole_weights pool/quick

The mean prediction of each stored network is taken twice by draws of outputs and twice by draws of
whole weights. The distance of two that were made alike is the noise of the draws, the floor.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from bench_uq.api import Examples
from bench_uq.plan.examples import load
from bench_uq.plan.plugins import Plugins
from bench_uq.predict.predict import Trained
from bench_uq.store import NETWORK, Record
from bench_uq.store.runs import RunFolder
from bench_uq.train.loop import build
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings
from bench_uq.train.splits import fitted, training_splits

CHUNK = 50
CPU = torch.device("cpu")


def total_variation(one: Tensor, other: Tensor) -> float:
    """Half the L1 distance of two mean predictions (B, C), mean over the examples."""
    return 0.5 * (one - other).abs().sum(-1).mean().item()


def mean_prediction(trained: Trained, inputs: Tensor, draws: int) -> Tensor:
    """The mean class probabilities (B, C) over draws."""
    total = torch.zeros(())
    for _ in range(draws // CHUNK):
        total = total + trained.draws(inputs, CHUNK).exp().mean(0)
    return total / (draws // CHUNK)


def both(folder: Path, record: Record, plugins: Plugins) -> dict[str, Trained]:
    """The networks of a run, by what their predictions draw."""
    assert record.seed is not None
    dataset = plugins.spec("dataset", record.dataset_full).value
    examples = load(dataset, "train", Path(), record.seed)
    training, _ = training_splits(examples, Settings(**record.settings), record.seed)
    task = replace(fitted(dataset.task(Path()), training), network=record.identity["network"])

    found = {}
    for sampling in ("outputs", "weights"):
        method = replace(plugins.spec("method", record.method_full).value, sampling=sampling)
        nets = nn.ModuleList([build(method, task, CPU)])
        nets.load_state_dict(load_file(folder / NETWORK))
        found[sampling] = Trained(method, task, nets.eval(), record.seed)
    return found


def rows(folder: Path, plugins: Plugins, images: int, draws: int) -> Iterator[dict[str, object]]:
    """Distances of one run on its clean test images and on letters."""
    record = RunFolder(folder).record()
    kinds = both(folder, record, plugins)
    for name in (record.dataset_full, "letters"):
        examples: Examples = load(plugins.spec("dataset", name).value, "test", Path(), 0)[:images]
        inputs, _ = Resident(examples, CPU, images).take(slice(0, images))

        halves = {}
        with torch.no_grad():
            for kind, trained in kinds.items():
                halves[kind] = [mean_prediction(trained, inputs, draws) for _ in range(2)]
        pairs = list(product(halves["outputs"], halves["weights"]))
        yield {
            "method": record.method,
            "images": name,
            "seed": record.seed,
            "outputs to weights": sum(total_variation(*pair) for pair in pairs) / len(pairs),
            "floor of outputs": total_variation(*halves["outputs"]),
            "floor of weights": total_variation(*halves["weights"]),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draws", type=int, default=2000, help="of each mean prediction")
    parser.add_argument("--images", type=int, default=300)
    arguments = parser.parse_args()
    if arguments.draws < CHUNK or arguments.draws % CHUNK:
        parser.error(f"--draws must be a multiple of {CHUNK}, not {arguments.draws}")
    torch.set_num_threads(1)
    torch.manual_seed(0)

    plugins, found = Plugins(()), list[dict[str, object]]()
    for run in sorted((arguments.folder / "runs").glob("*-s*")):
        found += rows(run, plugins, arguments.images, arguments.draws)
        print(pd.DataFrame(found[-2:]).to_string(index=False, header=len(found) == 2), flush=True)
    means = pd.DataFrame(found).drop(columns="seed").groupby(["method", "images"])
    print(means.agg(["min", "max"]).round(4).to_string())


if __name__ == "__main__":
    main()
