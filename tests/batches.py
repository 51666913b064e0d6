"""Training and held-out examples as methods get them."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from bench_uq.api import Batches


class Known(Batches):
    """Examples in batches of a size."""

    def __init__(self, inputs: Tensor, targets: Tensor, size: int = 16) -> None:
        self.inputs, self.targets, self.size = inputs, targets, size

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(self.inputs.split(self.size), self.targets.split(self.size), strict=True)

    def __len__(self) -> int:
        return len(self.inputs)


class Untouchable(Batches):
    """Examples that nobody may look at."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        raise AssertionError("these examples were looked at")

    def __len__(self) -> int:
        raise AssertionError("these examples were counted")
