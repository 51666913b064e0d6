"""Networks that look robust because their gradients are no guide."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn

from bench_uq.api import Method, network


class Rounded(nn.Module):
    """Inputs in sixteenths: what the network sees has no gradient in what it is shown."""

    random = False

    def forward(self, inputs):
        """Return the nearest sixteenths."""
        return torch.round(16 * inputs) / 16


class Turned(torch.autograd.Function):
    """The identity, with a gradient that points the other way."""

    @staticmethod
    def forward(ctx, inputs):
        """Return the inputs."""
        return inputs.clone()

    @staticmethod
    def backward(ctx, gradient):
        """Turn the gradient round."""
        return -gradient


class Mirror(nn.Module):
    """The layer of it."""

    random = False

    def forward(self, inputs):
        """Return the inputs."""
        return Turned.apply(inputs)


@dataclass(frozen=True)
class Masking(Method):
    """A plain network behind a layer that leads attacks astray."""

    reference: ClassVar[str] = "Athalye et al. 2018, https://arxiv.org/abs/1802.00420"

    how: Literal["round", "turn"] = "round"

    def build(self, task):
        """Return the plain network behind the layer."""
        net = network(task)
        net.stages.insert(0, Rounded() if self.how == "round" else Mirror())
        return net
