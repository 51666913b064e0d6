"""Predicting with many draws, LeNet 20-50-500: ours against passes one by one, as a user writes them.

    python -m benchmarks.predict                         # 100 draws of 384 images: the ratio is that of any number
    python -m benchmarks.predict --images 10000 --rounds 1

``plain passes`` are those of nn.Dropout in contiguous nn layers; ``one by one`` those of our own stochastic layers.
All average the probabilities of the draws, in batches of 128.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from bench_uq.plan.plugins import Plugins
from bench_uq.predict.predict import Trained, predict
from bench_uq.train.loop import build
from bench_uq.train.resident import Resident
from bench_uq.train.settings import BLOCK
from benchmarks import peers, rounds
from benchmarks.attack import images
from benchmarks.steps import TASK, WIDTHS

#: What ours is to cost at most, on two CPU cores.
LIMITS = {
    ("dropout[where=last]", "plain passes"): 0.10,
    ("dropout", "plain passes"): 0.35,
    ("mean-field", "mean-field one by one"): 0.8,
    ("mnf", "mnf one by one"): 0.8,
}


def ours(full: str, data: Resident, draws: int) -> tuple[nn.Module, Callable[[], object]]:
    """Return a network of a method and a prediction of it, as the engine makes it."""
    method = Plugins().spec("method", full).value
    net = build(method, TASK, data.inputs.device).eval()
    model = Trained(method, TASK, nn.ModuleList([net]), 0)
    return net, lambda: predict(model, data, len(data), draws, labelled=False)


def one_by_one(
    net: nn.Module, data: Resident, draws: int, layout: torch.memory_format
) -> Callable[[], None]:
    """Return the average of so many passes, one after the other."""
    batches = [data.take(slice(start, start + BLOCK))[0] for start in range(0, len(data), BLOCK)]
    batches = [inputs.clone(memory_format=layout) for inputs in batches]

    def passes() -> None:
        with torch.inference_mode():
            for inputs in batches:
                total: Tensor | float = 0.0
                for _ in range(draws):
                    total = total + net(inputs).softmax(-1)

    return passes


def with_dropout(device: torch.device) -> nn.Module:
    """Return plain LeNet with nn.Dropout before both dense layers, left on as for training."""
    stages = list(peers.plain((1, 28, 28), WIDTHS["lenet"]))  # type: ignore[arg-type]
    return (
        nn.Sequential(*stages[:7], nn.Dropout(0.5), *stages[7:9], nn.Dropout(0.5), stages[9])
        .to(device)
        .train()
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=384)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/predict.csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    data, draws = images(arguments.images, device), arguments.draws
    contiguous = torch.contiguous_format
    subjects = {"plain passes": one_by_one(with_dropout(device), data, draws, contiguous)}
    against = {}
    for full in ("dropout[where=last]", "dropout", "mean-field", "mnf"):
        net, subjects[full] = ours(full, data, draws)
        against[full] = "plain passes"
        if not full.startswith("dropout"):
            against[full] = f"{full} one by one"
            layout = torch.channels_last if device.type == "cpu" else contiguous
            subjects[against[full]] = one_by_one(net, data, draws, layout)
    measured = rounds.interleaved(subjects, arguments.rounds)
    made = rounds.rows("predict", measured, against, arguments.device)
    where = f"{arguments.device}, {arguments.threads} threads, torch {torch.__version__}"
    print(f"{draws} draws of {arguments.images} images, {where}")
    rounds.show(made, LIMITS)
    rounds.write(arguments.out, made)


if __name__ == "__main__":
    main()
