"""The floor of a step of LeNet: its convolutions, its noise and its KL, each alone.

Multiplications per second are those of the second convolution forward, the largest; noise is drawn
for all outputs of ``mean-field``; the KL is one sample with its gradients. With ``--compile`` that
of ``mnf`` is timed as torch.compile makes it as well, anew for each number of threads.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch._inductor import config
from torch.nn.functional import conv2d

from bench_uq.api.layers import kl
from bench_uq.plan.plugins import Plugins
from bench_uq.train.loop import build
from benchmarks import rounds
from benchmarks.steps import TASK

BATCH = 128
OUTPUTS = 20 * 24 * 24 + 50 * 8 * 8 + 500 + 10  # of LeNet 20-50-500, each with noise of its own
MULTIPLICATIONS = 50 * 8 * 8 * 20 * 25 * BATCH


def divergence(name: str, *, compiled: bool = False) -> rounds.Work:
    """The KL of a method's network with its gradients."""
    net = build(Plugins().spec("method", name).value, TASK, torch.device("cpu"))
    summed = torch.compile(kl) if compiled else kl

    def work() -> None:
        net.zero_grad()
        summed(net).backward()  # type: ignore[union-attr]

    if compiled:
        start = time.perf_counter()
        work()
        print(f"KL of {name} compiled in {time.perf_counter() - start:.0f} s")
    return work


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--compile", action="store_true", help="the KL of mnf compiled as well")
    compiling = parser.parse_args().compile
    # Compiled code of earlier calls lies on the disk.
    config.force_disable_caches = True

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
        if compiling:
            # Its code depends on the number of threads.
            torch.compiler.reset()
            subjects["KL of mnf compiled"] = divergence("mnf", compiled=True)
        measured = rounds.interleaved(subjects, 15, 4, 3)
        convolution, normal, *kls = (rounds.median(measured, name) for name in subjects)
        print(f"{threads} threads: {MULTIPLICATIONS / convolution / 1e9:.0f} billion ", end="")
        print("multiplications per second,")
        print(f"  {1e9 * normal / len(noise):.1f} ns per normal number, ", end="")
        print(f"{1e3 * normal:.1f} ms per batch,")
        print(f"  KL of mean-field {1e3 * kls[0]:.1f} ms, KL of mnf {1e3 * kls[1]:.1f} ms")
        if compiling:
            print(f"  KL of mnf compiled {1e3 * kls[2]:.1f} ms")


if __name__ == "__main__":
    main()
