"""A method that keeps every requirement: dropout that stays on."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn
from torch.nn.functional import dropout

from bench_uq.api import Layers, Method, network


class Masked(nn.Module):
    """Dropout that stays on."""

    def forward(self, inputs):
        """Drop inputs at random."""
        return dropout(inputs, 0.3, training=True)


LAYERS = Layers(before_dense=Masked)


@dataclass(frozen=True)
class Mine(Method):
    """A sound method."""

    reference: ClassVar[str] = "Mine 2020, https://example.org"

    def build(self, task):
        """Build the task's network."""
        return network(task, LAYERS)
