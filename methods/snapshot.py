"""Snapshot ensembles: copies of one network at the ends of cycles of its learning rate."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from bench_uq.methods._priors import PriorStd
from bench_uq.methods._snapshots import Cyclic


@dataclass(frozen=True)
class Snapshot(Cyclic):
    """One training that comes to rest several times, each time at a member of the ensemble."""

    reference: ClassVar[str] = "Huang et al. 2017, https://arxiv.org/abs/1704.00109"
    title: ClassVar[str] = "Snapshot ensemble"
    order: ClassVar[int] = 24
    search: ClassVar = {"cycles": {"values": [3, 5, 8]}}

    cycles: int = 5  # one copy of the network is kept of each
    prior_std: PriorStd = 1.0  # as of map

    def ends(self, epochs: int) -> list[int]:
        """Ends of cycles of equal length, as near as whole epochs allow."""
        # Rounded up in integers, as a float may end beyond the last epoch.
        return sorted({-(-epochs * k // self.cycles) for k in range(1, self.cycles + 1)})

    def share(self, position: float, epochs: int) -> float:
        """Half a cosine from 1 to 0 in each cycle (eq. 2)."""
        for start, end in pairwise([0, *self.ends(epochs)]):
            if position < end:
                return (1 + math.cos(math.pi * (position - start) / (end - start))) / 2
        return 0.0
