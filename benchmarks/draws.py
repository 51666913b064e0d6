"""Predicting with LeNet on a CPU: time of a draw of 128 images, by the number of images at once."""

from __future__ import annotations

from functools import partial
from unittest import mock

import torch

from bench_uq.api import layers as networks
from bench_uq.api.method import Method
from bench_uq.plan.plugins import Plugins
from benchmarks import rounds
from benchmarks.steps import TASK

SIZES = ("128", "256", "512", "2048")
DRAWS = 16


def draw(method: Method, net: torch.nn.Module, inputs: torch.Tensor, size: str) -> None:
    """Draw all predictions with this many images at once."""
    with (
        mock.patch.dict(networks.NUMBERS_AT_ONCE, cpu=int(size) * 784),
        torch.inference_mode(),
    ):
        method.draws(net, inputs, DRAWS)


def main() -> None:
    torch.set_num_threads(1)
    inputs = torch.rand(128, 1, 28, 28).to(memory_format=torch.channels_last)
    ours = str(networks.NUMBERS_AT_ONCE["cpu"] // 784)
    for name in ("dropout", "mean-field", "mnf"):
        method = Plugins().spec("method", name).value
        net = method.build(TASK).eval()
        net.task = TASK

        subjects = {size: partial(draw, method, net, inputs, size) for size in SIZES}
        measured = rounds.interleaved(subjects, 3)
        for row in rounds.rows("draws", measured, dict.fromkeys(SIZES, ours)):
            time = f"{row.milliseconds / DRAWS:6.1f} ms per draw  {row.ratio:5.2f} x {ours}"
            print(f"{name:12} {row.subject:>5} images at once  {time}")


if __name__ == "__main__":
    main()
