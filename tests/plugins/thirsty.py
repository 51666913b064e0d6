"""Networks for which memory is short while predicting."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from bench_uq.api import Layers, Method, network


class Mask(nn.Module):
    """Dropout, in evaluation too."""

    def forward(self, inputs):
        """Return inputs under a mask."""
        return nn.functional.dropout(inputs, 0.3, training=True)


@dataclass(frozen=True)
class Thirsty(Method):
    """A network of which several draws of more than so many examples at a time do not fit in
    memory.
    """

    reference: ClassVar[str] = "nowhere"

    most: int = 5

    def build(self, task):
        """Return the network with dropout."""
        return network(task, Layers(before_last=Mask))

    def draws(self, net, inputs, count):
        """Return draws, or run out of memory; the curves of a training ask for one draw."""
        if count > 1 and len(inputs) > self.most:
            raise torch.OutOfMemoryError(f"no room for {len(inputs)} examples")
        return super().draws(net, inputs, count)
