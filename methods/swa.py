"""Stochastic weight averaging: the mean of the weights that SGD passes through."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench_uq.api import Batches
from bench_uq.methods._priors import PriorStd
from bench_uq.methods._walk import Held, Walking, move


@dataclass(frozen=True)
class SWA(Walking):
    """One network whose weights are the mean over a walk from the trained ones.

    The trained weights count as the first of the walk (Algorithm 1).
    """

    reference: ClassVar[str] = "Izmailov et al. 2018, https://arxiv.org/abs/1803.05407"
    title: ClassVar[str] = "SWA"
    order: ClassVar[int] = 54

    base: str = "map"
    snapshots: int = 20  # one after each epoch
    rate: float = 0.0  # of SGD; 0: 0.05 for classes, 3e-4 for real targets
    prior_std: PriorStd = 1.0  # as of map

    def finish(self, net: nn.Module, train: Batches, held_out: Batches) -> None:
        """Put the mean of the snapshots in the place of the trained weights."""
        assert isinstance(net, Held)
        data = self.data_of(net, train)
        for own in net.base.nets:
            mean = torch.zeros(())
            for number, weights in enumerate(self.walk(own, data), start=1):
                mean = mean.to(weights) + (weights - mean.to(weights)) / number
            move(own, mean, data)

    def draws(self, net: nn.Module, inputs: Tensor, count: int) -> Tensor:
        """One draw of each network of the base, (S, B, P)."""
        assert isinstance(net, Held)
        return net.base.draws(inputs, count)
