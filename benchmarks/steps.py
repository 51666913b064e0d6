"""One training step of each method against a plain PyTorch step, interleaved in one process.

Plain: contiguous nn layers, cross entropy, fused Adam. Ours: the network, loss and optimiser that bench-uq trains with.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from bench_uq.architectures import network
from bench_uq.contracts import Examples, Method, Task
from bench_uq.data import Resident
from bench_uq.likelihoods import Categorical
from bench_uq.plugins import Plugins
from bench_uq.train import build

TASK = Task((1, 28, 28), Categorical(10), (0.1307,), (0.3081,), "lenet")
METHODS = ("map", "dropout", "mean-field", "mnf")


def plain_step(inputs: torch.Tensor, targets: torch.Tensor) -> Callable[[], None]:
    """Return a step as a PyTorch tutorial writes it."""
    net = network(TASK).to(inputs.device)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net(inputs), targets).backward()
        optimiser.step()

    return step


def our_step(method: Method, data: Resident) -> Callable[[], None]:
    """Return a step as train.py takes it, on the whole of ``data``, the batch taken from the resident bytes."""
    net = build(method, TASK, data.inputs.device)
    optimiser = method.optimiser(net)

    def step() -> None:
        inputs, targets = data.take(torch.arange(len(data), device=data.inputs.device))
        optimiser.zero_grad(set_to_none=True)
        method.loss(net, inputs, targets, 60_000, 0.0).backward()
        optimiser.step()

    return step


def timed(step: Callable[[], None], repeats: int) -> float:
    """Return the seconds of one step, the mean of a few."""
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (arguments.batch, 1, 28, 28), dtype=np.uint8)
    data = Resident(Examples(images, rng.integers(0, 10, arguments.batch)), torch.device(arguments.device), 128)
    inputs, targets = data.take(slice(None))
    steps = {"plain": plain_step(inputs.clone(memory_format=torch.contiguous_format), targets)}
    steps |= {name: our_step(Plugins().spec("method", name).value, data) for name in METHODS}
    for step in steps.values():
        timed(step, 3)
    rounds = [{name: timed(step, 2) for name, step in steps.items()} for _ in range(arguments.rounds)]
    where = f"{arguments.device}, {arguments.threads} threads, torch {torch.__version__}"
    print(f"LeNet 20-50-500, batch {arguments.batch}, {where}")
    for name in steps:
        ratios = [one[name] / one["plain"] for one in rounds]
        median = statistics.median(one[name] for one in rounds)
        print(f"{name:12} {1000 * median:8.2f} ms  {statistics.median(ratios):5.2f} x plain"
              f"  ({min(ratios):.2f} to {max(ratios):.2f})")  # fmt: skip


if __name__ == "__main__":
    main()
