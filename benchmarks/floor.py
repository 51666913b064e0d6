"""What a step of LeNet cannot do without, each alone, on one thread and on two: its convolutions, its noise, the KL.

Multiplications a second are those of the second convolution forward, the largest; noise is drawn for all outputs of
``mean-field``; the KL is one sample with its gradients.
"""

from __future__ import annotations

import statistics

import torch
from torch.nn.functional import conv2d

from bench_uq.api.layers import kl
from bench_uq.plan.plugins import Plugins
from bench_uq.train.loop import build
from benchmarks import rounds
from benchmarks.steps import TASK

BATCH = 128
OUTPUTS = 20 * 24 * 24 + 50 * 8 * 8 + 500 + 10  # of LeNet 20-50-500, each with noise of its own
MULTIPLICATIONS = 50 * 8 * 8 * 20 * 25 * BATCH


def divergence(name: str) -> rounds.Work:
    """Return the KL of a method's network with its gradients."""
    net = build(Plugins().spec("method", name).value, TASK, torch.device("cpu"))

    def work() -> None:
        net.zero_grad()
        kl(net).backward()  # type: ignore[union-attr]

    return work


def main() -> None:
    images = torch.rand(BATCH, 20, 12, 12).to(memory_format=torch.channels_last)
    weights, noise = torch.rand(50, 20, 5, 5), torch.empty(BATCH * OUTPUTS)
    subjects: dict[str, rounds.Work] = {
        "convolution": lambda: conv2d(images, weights),
        "noise": lambda: noise.normal_(),
        "KL of mean-field": divergence("mean-field"),
        "KL of mnf": divergence("mnf"),
    }
    for threads in (1, 2):
        torch.set_num_threads(threads)
        measured = rounds.interleaved(subjects, 15, 4, 3)
        medians = {name: statistics.median(one[name] for one in measured) for name in subjects}
        print(
            f"{threads} threads: {MULTIPLICATIONS / medians['convolution'] / 1e9:.0f} billion multiplications a second,"
        )
        print(
            f"  {1e9 * medians['noise'] / len(noise):.1f} ns a normal number, {1e3 * medians['noise']:.1f} ms a batch,"
        )
        print(
            "  " + ", ".join(f"{name} {1e3 * medians[name]:.1f} ms" for name in list(subjects)[2:])
        )


if __name__ == "__main__":
    main()
