"""The distances that attacks stay within: steepest steps, random starts and projections, per norm."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Generator, Tensor

from bench_uq.conditions._gradients import per_example


class Norm(ABC):
    """A norm of changes (B, ...), one an example."""

    @abstractmethod
    def steepest(self, gradient: Tensor) -> Tensor:
        """Return the change of norm 1 that rises most along a gradient; 0 where that is 0."""

    @abstractmethod
    def within(self, change: Tensor, epsilon: float) -> Tensor:
        """Return the nearest change of a norm of at most epsilon."""

    @abstractmethod
    def random(self, like: Tensor, generator: Generator) -> Tensor:
        """Return changes that are uniform in the ball of radius 1, from a CPU generator."""


class Linf(Norm):
    """The largest change of a pixel."""

    def steepest(self, gradient: Tensor) -> Tensor:
        """Return the sign."""
        return gradient.sign()

    def within(self, change: Tensor, epsilon: float) -> Tensor:
        """Clip each pixel's change."""
        return change.clamp(-epsilon, epsilon)

    def random(self, like: Tensor, generator: Generator) -> Tensor:
        """Draw each pixel's change from [-1, 1]."""
        return _drawn(torch.rand, like, generator) * 2 - 1


class L2(Norm):
    """The root of the sum over all pixels and channels of the squared changes."""

    def steepest(self, gradient: Tensor) -> Tensor:
        """Scale to length 1, from the largest entry so that small squares do not vanish."""
        largest = gradient.abs().flatten(1).amax(1)
        scaled = gradient / per_example(
            largest.clamp_min(torch.finfo(gradient.dtype).tiny), gradient
        )
        return scaled / per_example(self.length(scaled).clamp_min(1e-12), gradient)

    def within(self, change: Tensor, epsilon: float) -> Tensor:
        """Shorten what is too long."""
        length = self.length(change).clamp_min(torch.finfo(change.dtype).tiny)
        return change * per_example((epsilon / length).clamp_max(1), change)

    def random(self, like: Tensor, generator: Generator) -> Tensor:
        """Draw a direction, and a length whose power of the dimension is uniform."""
        direction = self.steepest(_drawn(torch.randn, like, generator))
        share = torch.rand(len(like), generator=generator, dtype=like.dtype).to(like.device)
        return direction * per_example(share ** (1 / like[0].numel()), like)

    @staticmethod
    def length(change: Tensor) -> Tensor:
        """Return the norm of each example's change, (B,)."""
        return change.flatten(1).norm(dim=1)


def _drawn(draw: Callable[..., Tensor], like: Tensor, generator: Generator) -> Tensor:
    """Draw an array of a shape on the CPU, so that it is the same for every device."""
    return draw(like.shape, generator=generator, dtype=like.dtype).to(like.device)


NORMS: Mapping[str, Norm] = {"linf": Linf(), "l2": L2()}
