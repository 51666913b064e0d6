"""One training step of each method, side by side with what a user would pick instead, interleaved in one process.

``plain`` is LeNet as tutorials write it, of contiguous nn layers, with cross entropy and fused Adam on a batch at hand;
``plain loop`` the same behind a DataLoader. Ours: the network, loss, optimiser and batches that bench-uq trains with.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from bench_uq.api.likelihoods import Categorical
from bench_uq.api.method import Method
from bench_uq.api.task import Examples, Task
from bench_uq.plan.plugins import Plugins
from bench_uq.train.loop import build
from bench_uq.train.resident import Resident
from benchmarks import peers, rounds

TASK = Task((1, 28, 28), Categorical(10), (0.1307,), (0.3081,), "lenet")
WIDE = Task((3, 32, 32), Categorical(10), (0.49, 0.48, 0.45), (0.25, 0.24, 0.26), "lenet-wide")
WIDTHS = {"lenet": (20, 50, 500), "lenet-wide": (192, 192, 1000)}
METHODS = ("map", "dropout", "mean-field", "mnf")
FLIPOUT = "bayesian-torch Flipout"

#: What a step is to cost at most, LeNet 20-50-500 with batches of 128 on two CPU cores.
LIMITS = {
    ("map", "plain"): 0.75,
    ("mean-field", "plain"): 1.8,
    ("mnf", "plain"): 2.4,
    ("mean-field", FLIPOUT): 0.65,
}


def our_step(method: Method, task: Task, data: Resident) -> Callable[[], None]:
    """Return a step as train.py takes it, on the whole of ``data``, the batch taken from the resident bytes."""
    net = build(method, task, data.inputs.device)
    optimiser = method.optimiser(net)

    def step() -> None:
        inputs, targets = data.take(torch.arange(len(data), device=data.inputs.device))
        optimiser.zero_grad(set_to_none=True)
        method.loss(net, inputs, targets, peers.SIZE, 0.0).backward()
        optimiser.step()

    return step


def subjects(task: Task, batch: int, device: str) -> dict[str, Callable[[], None]]:
    """Return a step of each subject."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (max(batch, 2048), *task.input_shape), dtype=np.uint8)
    labels = rng.integers(0, 10, len(images))
    data, widths = (
        Resident(Examples(images[:batch], labels[:batch]), torch.device(device), batch),
        WIDTHS[task.network],
    )
    inputs, targets = data.take(slice(None))
    inputs = inputs.clone(memory_format=torch.contiguous_format)
    steps = {
        "plain": peers.plain_step(inputs, targets, widths),
        "plain loop": peers.loop_step(
            torch.from_numpy(images), torch.from_numpy(labels), batch, widths, device
        ),
    }
    if peers.installed("bayesian_torch"):
        steps[FLIPOUT] = peers.bayesian_torch_step("Flipout", inputs, targets, widths)
        steps["bayesian-torch Reparameterization"] = peers.bayesian_torch_step(
            "Reparameterization", inputs, targets, widths
        )
    if peers.installed("blitz"):
        steps["blitz"] = peers.blitz_step(inputs, targets, widths)
    return steps | {
        name: our_step(Plugins().spec("method", name).value, task, data) for name in METHODS
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--wide-rounds", type=int, default=3, help="of lenet-wide; 0 leaves it out")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/measured/steps.csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    made = []
    for task, count, repeats in ((TASK, arguments.rounds, 3), (WIDE, arguments.wide_rounds, 1)):
        if count:
            steps = subjects(task, arguments.batch, arguments.device)
            measured = rounds.interleaved(steps, count, repeats, warm_up=3)
            against = dict.fromkeys(steps, "plain")
            own = rounds.rows(f"step {task.network}", measured, against, arguments.device)
            if FLIPOUT in steps:
                pairs = dict.fromkeys(("mean-field", "mnf"), FLIPOUT)
                own += rounds.rows(f"step {task.network}", measured, pairs, arguments.device)
            where = f"{arguments.device}, {arguments.threads} threads, torch {torch.__version__}"
            print(
                f"{task.network} {'-'.join(map(str, WIDTHS[task.network]))}, batch {arguments.batch}, {where}"
            )
            rounds.show(own, LIMITS if task is TASK else None)
            made += own
    rounds.write(arguments.out, made)


if __name__ == "__main__":
    main()
