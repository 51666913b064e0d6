"""Last layers that hold more numbers per example than the likelihood has parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from bench_uq.api import UsageError, task_of


class Head(nn.Module, ABC):
    """Stands in for the last dense layer: (B, hidden units) -> (B, P), by way of its numbers.

    Everything before it is the network of all other methods.
    """

    def __init__(self) -> None:
        super().__init__()
        # Not a buffer: it is up only while ``numbers_of`` runs.
        self.whole = False

    def forward(self, hidden: Tensor) -> Tensor:
        """One draw (B, P) before the scale of the likelihood; the numbers for ``numbers_of``."""
        exact = hidden.to(next(self.parameters()).dtype)

        # Exponentials and phases would magnify the rounding of mixed precision.
        with torch.autocast(hidden.device.type, enabled=False):
            numbers = self.numbers(exact)
            if self.whole:
                return numbers
            return self.outputs(numbers)

    def outputs(self, numbers: Tensor) -> Tensor:
        """One draw (B, P), by default the first."""
        return self.drawn(numbers, 1).squeeze(0)

    @abstractmethod
    def numbers(self, hidden: Tensor) -> Tensor:
        """All that the draws of an example depend on, (B, M)."""

    @abstractmethod
    def drawn(self, numbers: Tensor, count: int) -> Tensor:
        """At most ``count`` draws (S, B, P) before the scale of the likelihood."""


class DenseHead(Head):
    """A head whose numbers are those of a dense layer with ``outputs`` units."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, outputs)

    def numbers(self, hidden: Tensor) -> Tensor:
        """Outputs of the dense layer, (B, M)."""
        return cast(Tensor, self.dense(hidden))


def with_head(net: nn.Module, make: Callable[[int], Head]) -> nn.Module:
    """The network with its last dense layer replaced; ``make`` takes the number of its inputs."""
    last = ""
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Linear):
            last = name
    if not last:
        raise UsageError("this method replaces the last dense layer, and the network has none")

    parent, _, own = last.rpartition(".")
    width = cast(nn.Linear, net.get_submodule(last)).in_features
    setattr(net.get_submodule(parent), own, make(width))
    return net


def head_of(net: nn.Module) -> Head:
    """The head of a network."""
    return next(layer for layer in net.modules() if isinstance(layer, Head))


def numbers_of(net: nn.Module, inputs: Tensor) -> Tensor:
    """Numbers of the head for some inputs, (B, M)."""
    head = head_of(net)
    head.whole = True
    try:
        stages = cast(nn.Module, net.stages)
        return cast(Tensor, stages(inputs))
    finally:
        head.whole = False


def draws_of(net: nn.Module, inputs: Tensor, count: int) -> Tensor:
    """Draws (S, B, P) of the likelihood's parameters, in the units of the targets."""
    likelihood = task_of(net).likelihood
    drawn = head_of(net).drawn(numbers_of(net, inputs), count)
    return likelihood.normalise(likelihood.scale(drawn))
