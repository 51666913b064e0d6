"""Predicting with LeNet on a CPU: the time of a draw of 128 images against how many images go through at once."""

from __future__ import annotations

import statistics
import time

import torch

from bench_uq.api import layers as networks
from bench_uq.plan.plugins import Plugins
from benchmarks.steps import TASK

SIZES = (128, 256, 512, 2048)
DRAWS = 16


def main() -> None:
    torch.set_num_threads(1)
    inputs = torch.rand(128, 1, 28, 28).to(memory_format=torch.channels_last)
    for name in ("dropout", "mean-field", "mnf"):
        method = Plugins().spec("method", name).value
        net = method.build(TASK).eval()
        net.task = TASK
        rounds = [{size: seconds(method, net, inputs, size) for size in SIZES} for _ in range(4)][
            1:
        ]
        ours = networks.NUMBERS_AT_ONCE["cpu"] // 784
        for size in SIZES:
            ratio = statistics.median(one[size] / one[ours] for one in rounds)
            median = statistics.median(one[size] for one in rounds)
            print(
                f"{name:12} {size:5} images at once  {1e3 * median / DRAWS:6.1f} ms a draw  {ratio:5.2f} x {ours}"
            )


def seconds(method: object, net: torch.nn.Module, inputs: torch.Tensor, size: int) -> float:
    """Return the seconds of all draws with this many images at once."""
    kept = dict(networks.NUMBERS_AT_ONCE)
    networks.NUMBERS_AT_ONCE["cpu"] = size * 784
    start = time.perf_counter()
    with torch.inference_mode():
        method.draws(net, inputs, DRAWS)  # type: ignore[attr-defined]
    networks.NUMBERS_AT_ONCE.update(kept)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
