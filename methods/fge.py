"""Fast geometric ensembling: copies of one network along short cycles late in its training."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from bench_uq.methods._priors import PriorStd
from bench_uq.methods._snapshots import Cyclic


@dataclass(frozen=True)
class FGE(Cyclic):
    """One ordinary training, then a walk through networks that are nearly as good.

    Unlike the paper, whose cycles begin and end at the high rate, they begin and end at the low one
    that the first part of the training comes to; members are the networks at the low rate as there.
    """

    reference: ClassVar[str] = "Garipov et al. 2018, https://arxiv.org/abs/1802.10026"
    title: ClassVar[str] = "FGE"
    order: ClassVar[int] = 25
    search: ClassVar = {"high": {"low": 0.05, "high": 1.0, "scale": "log"}}

    cycles: int = 6  # one copy of the network is kept of each
    prior_std: PriorStd = 1.0  # as of map
    start: float = 0.8  # share of the training before the first cycle
    # Rates of the cycles as shares of the learning rate.
    high: float = 0.5
    low: float = 0.005

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.start < 1:
            raise ValueError(f"start must be in [0, 1), not {self.start}")
        if not 0 < self.high <= 1:
            raise ValueError(f"high must be in (0, 1], not {self.high}")
        if not 0 < self.low <= self.high:
            raise ValueError(f"low must be in (0, high], not {self.low}")

    def first(self, epochs: int) -> int:
        """Epochs before the cycles, which have one at least."""
        return min(round(self.start * epochs), epochs - 1)

    def ends(self, epochs: int) -> list[int]:
        """Ends of cycles of equal length, as near as whole epochs allow."""
        first = self.first(epochs)
        # Rounded up in integers, as a float may end beyond the last epoch.
        lengths = {-(-(epochs - first) * k // self.cycles) for k in range(1, self.cycles + 1)}
        return [first + length for length in sorted(lengths)]

    def share(self, position: float, epochs: int) -> float:
        """A cosine from 1 to the low rate, then up and down as lines in each cycle (section 4)."""
        first = self.first(epochs)
        if position < first:
            fallen = (1 + math.cos(math.pi * position / first)) / 2
            return self.low + (1 - self.low) * fallen

        for start, end in pairwise([first, *self.ends(epochs)]):
            if position < end:
                place = (position - start) / (end - start)
                return self.low + (self.high - self.low) * (1 - abs(2 * place - 1))
        return self.low
