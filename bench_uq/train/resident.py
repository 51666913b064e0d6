"""Examples on the device, as floats in batches."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from bench_uq.api.task import Batches, Examples


class Resident(Batches):
    """Examples on the device in their own type; a batch is turned into floats in [0, 1]."""

    def __init__(self, examples: Examples, device: torch.device, batch: int) -> None:
        self.inputs = torch.from_numpy(np.ascontiguousarray(examples.inputs)).to(device)
        self.targets = torch.from_numpy(np.ascontiguousarray(examples.targets)).to(device)
        self.batch = batch

    def __len__(self) -> int:
        return len(self.inputs)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self), self.batch):
            yield self.take(slice(start, start + self.batch))

    def shuffled(self, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """All examples once, in the order of a CPU generator: the same order on every device."""
        # A GPU's generator would give another order.
        order = torch.randperm(len(self), generator=generator).to(self.inputs.device)

        for index in joined_last(order.split(self.batch)):
            yield self.take(index)

    def replaced(self, inputs: Tensor) -> Resident:
        """The same examples with other inputs (N, ...), on the same device."""
        other = copy.copy(self)
        other.inputs = inputs
        return other

    def take(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Inputs (B, *input_shape) in [0, 1] and targets (B,)."""
        return laid_out(as_floats(self.inputs[index])), self.targets[index]


def joined_last(batches: Sequence[Tensor], dim: int = 0) -> list[Tensor]:
    """Batches, with a last one of a single example joined to the one before.

    Batch normalisation has no variance of one example.
    """
    joined = list(batches)
    if len(joined) > 1 and joined[-1].shape[dim] == 1:
        joined[-2:] = [torch.cat(joined[-2:], dim=dim)]
    return joined


def as_floats(inputs: Tensor) -> Tensor:
    """Inputs in [0, 1]: bytes are divided by 255, floats stay as they are."""
    if inputs.dtype == torch.uint8:
        return inputs.float().div_(255)
    return inputs


def laid_out(inputs: Tensor) -> Tensor:
    """Images on the CPU as channels_last, in which convolutions are faster.

    The weights stay as they are, so that a plugin can view them. Unlike ``contiguous``, ``to`` sets
    the strides of images of one channel too. Those could otherwise be in either layout, and take
    either path through a convolution, with other last digits.
    """
    if inputs.dim() == 4 and inputs.device.type == "cpu":
        return inputs.to(memory_format=torch.channels_last)
    return inputs
