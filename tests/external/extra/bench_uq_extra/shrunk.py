"""A network whose outputs are pulled to zero."""

from dataclasses import dataclass
from typing import ClassVar

from bench_uq.api import Method, network


@dataclass(frozen=True)
class Shrunk(Method):
    """One network with a penalty on the size of its outputs."""

    reference: ClassVar[str] = "Pereyra et al. 2017, https://arxiv.org/abs/1701.06548"

    strength: float = 0.1

    def build(self, task):
        """Return the plain network."""
        return network(task)

    def loss(self, net, inputs, targets, size, progress):
        """Return the NLL with the penalty."""
        return (
            super().loss(net, inputs, targets, size, progress)
            + self.strength * net(inputs).square().mean()
        )
