"""Layers whose largest singular value is kept below a bound, by power iteration."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from bench_uq.api import Task, layers_of

#: Iterations after training, when the bound has to hold.
LAST_ITERATIONS = 100
#: Relative excess over the bound that is left alone: rounding, which would move weights for ever.
SLACK = 1e-5


class Bounded(nn.Module):
    """A linear map whose weights are scaled down where its norm exceeds a bound.

    The norm is that of the map between inputs and outputs of the task's size. Of a convolution it
    is not that of its flattened kernel, which can be smaller by the square root of the number of
    pixels of the kernel.
    """

    random = False
    weight: Tensor
    direction: Tensor  # of the inputs that the map lengthens most, (1, ...), of norm 1

    @abstractmethod
    def mapped(self, inputs: Tensor) -> Tensor:
        """Outputs without the bias."""

    @torch.no_grad()
    def norm(self, iterations: int) -> Tensor:
        """Largest singular value, approached from below, after some more iterations.

        Each takes the direction v to A'u / |A'u|, where u = Av / |Av| (Miyato et al. 2018,
        Algorithm 1; for convolutions Gouk et al. 2018). It is kept, so that one iteration per step
        follows the weights.
        """
        direction = self.direction
        largest = direction.new_zeros(())

        # Half precision would leave three digits.
        with torch.autocast(direction.device.type, enabled=False):
            for _ in range(iterations):
                outputs, transposed = torch.func.vjp(self.mapped, direction)[:2]
                # Weights of zero have no direction.
                length = outputs.norm().clamp_min(1e-12)
                (back,) = transposed(outputs / length)
                largest = back.norm()
                direction = back / largest.clamp_min(1e-12)

        self.direction.copy_(direction)
        return largest

    @torch.no_grad()
    def bound(self, limit: float, iterations: int = 1) -> None:
        """Scale the weights down to the norm ``limit`` if it is above (Liu et al. 2020, eq. 10)."""
        largest = self.norm(iterations)
        above = largest > limit * (1 + SLACK)
        self.weight.mul_(torch.where(above, limit / largest, 1.0))


class BoundedLinear(Bounded, nn.Linear):
    """A dense layer of bounded norm."""

    def mapped(self, inputs: Tensor) -> Tensor:
        """The product with the weights."""
        return linear(inputs, self.weight)


class BoundedConv2d(Bounded, nn.Conv2d):
    """A convolution of bounded norm."""

    def mapped(self, inputs: Tensor) -> Tensor:
        """The convolution of this geometry, without the bias."""
        return self._conv_forward(inputs, self.weight, None)


def find_directions(net: nn.Module, task: Task) -> nn.Module:
    """Give each bounded layer a random direction of the size of its inputs in this task."""
    handles = []
    for layer in layers_of(net):
        if isinstance(layer, Bounded):
            handles.append(layer.register_forward_pre_hook(set_direction))

    # One example in evaluation: normalisations by batch keep their statistics.
    training = net.training
    with torch.no_grad():
        net.eval()(torch.zeros(1, *task.input_shape))

    for handle in handles:
        handle.remove()
    return net.train(training)


def set_direction(layer: nn.Module, arguments: tuple[Any, ...]) -> None:
    """Before the pass: a random direction of the shape of the inputs."""
    direction = torch.randn_like(cast(Tensor, arguments[0]))
    layer.register_buffer("direction", direction / direction.norm())


def bound_all(net: nn.Module, limit: float, iterations: int = 1) -> None:
    """Bound the norm of every layer that can be bounded; with inf of none."""
    if math.isinf(limit):
        return
    for layer in layers_of(net):
        if isinstance(layer, Bounded):
            layer.bound(limit, iterations)
