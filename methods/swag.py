"""SWAG: a Gaussian over the weights that SGD passes through."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench_uq.api import Base, Batches, Task, task_of
from bench_uq.methods._bases import plain_networks, shared
from bench_uq.methods._members import picked
from bench_uq.methods._priors import PriorStd
from bench_uq.methods._samples import outputs_of, row_of
from bench_uq.methods._walk import Held, Walking, move


@dataclass
class Moments:
    """Mean, variance and latest deviations of the weights (D,) that are added.

    The sums are Welford's, which lose no digits where the variance is small.
    """

    mean: Tensor
    squares: Tensor  # sum of squared deviations from the mean
    deviations: deque[Tensor]  # of each of the latest weights from the mean when it was added
    count: int = 1

    @classmethod
    def of(cls, start: Tensor, rank: int) -> Moments:
        """Moments of the first weights."""
        return cls(start.clone(), torch.zeros_like(start), deque(maxlen=rank))

    def add(self, weights: Tensor) -> None:
        """Count weights in (Maddox et al. 2019, Algorithm 1)."""
        self.count += 1
        before = weights - self.mean
        self.mean = self.mean + before / self.count
        after = weights - self.mean
        self.squares = self.squares + before * after
        self.deviations.append(after)

    def sample(self, scale: float) -> Tensor:
        """Weights from N(mean, scale (diagonal + low rank) / 2), (D,) (eq. 1)."""
        independent = (self.squares / self.count).sqrt() * torch.randn_like(self.mean)
        columns = torch.stack(tuple(self.deviations))  # (K, D)
        common = torch.randn_like(columns[:, 0]) @ columns
        together = independent + common / math.sqrt(len(columns) - 1)
        return self.mean + math.sqrt(scale / 2) * together


class Sampled(Held):
    """Networks of a base, and samples (M, S, D') of the state of each: weights, and statistics of
    norm layers.
    """

    samples: Tensor

    def __init__(self, base: Base, samples: int) -> None:
        super().__init__(base)
        rows = torch.stack([row_of(net) for net in base.nets])
        self.register_buffer("samples", rows.unsqueeze(1).repeat(1, samples, 1))


@dataclass(frozen=True)
class SWAG(Walking):
    """A Gaussian of low rank and diagonal over the weights along a walk from the trained ones.

    Samples are drawn once, after training, and stored, because norm layers need the training
    examples for their statistics under each.
    """

    reference: ClassVar[str] = "Maddox et al. 2019, https://arxiv.org/abs/1902.02476"
    title: ClassVar[str] = "SWAG"
    order: ClassVar[int] = 55

    base: str = "map"
    snapshots: int = 20  # one after each epoch
    rank: int = 20  # of the covariance beside its diagonal
    samples: int = 20  # stored draws of the weights of each network
    rate: float = 0.0  # of SGD; 0: 0.05 for classes, 3e-4 for real targets
    scale: float = 1.0  # factor of the covariance
    prior_std: PriorStd = 1.0  # as of map

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.rank <= self.snapshots:
            raise ValueError(f"rank must be in [2, snapshots], not {self.rank}")
        if not 1 <= self.samples <= 10_000:
            raise ValueError(f"samples must be in [1, 10000], not {self.samples}")
        if not 0 <= self.scale < math.inf:
            raise ValueError(f"scale must be finite and at least 0, not {self.scale}")

    def build_on(self, task: Task, base: Base) -> nn.Module:
        """Hold the base, with room for the samples."""
        plain_networks(base)
        return Sampled(base, self.samples)

    def finish(self, net: nn.Module, train: Batches, held_out: Batches) -> None:
        """Walk, and store samples from the Gaussian; the networks themselves get its mean."""
        assert isinstance(net, Sampled)
        data = self.data_of(net, train)
        for own, samples in zip(net.base.nets, net.samples, strict=True):
            walk = self.walk(own, data)
            moments = Moments.of(next(walk), self.rank)
            for weights in walk:
                moments.add(weights)

            for sample in samples:
                move(own, moments.sample(self.scale), data)
                sample.copy_(row_of(own))
            move(own, moments.mean, data)

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """A draw for each stored sample, or for ``count`` of them at random, (S, B, P)."""
        assert isinstance(net, Sampled)
        outputs = []
        shares = shared(count, len(net.samples))
        for own, samples, share in zip(net.base.nets, net.samples, shares, strict=True):
            for index in picked(len(samples), share):
                outputs.append(outputs_of(own, samples[index], inputs))
        return task_of(net).likelihood.normalise(torch.stack(outputs))
