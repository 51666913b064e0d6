"""Norms of the changes that attacks make: steepest steps, random starts and projections."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Generator, Tensor

from bench_uq.conditions._gradients import per_example


class Norm(ABC):
    """A norm of changes (B, ...), computed per example."""

    @abstractmethod
    def steepest(self, gradient: Tensor) -> Tensor:
        """The change of norm 1 that rises most along a gradient; 0 where the gradient is 0."""

    def agreement(self, one: Tensor, other: Tensor) -> float:
        """Mean share of a gradient's steepest rise that the steepest change of another has."""
        rise = (self.steepest(one) * other).flatten(1).sum(1, dtype=torch.double)
        most = (self.steepest(other) * other).flatten(1).sum(1, dtype=torch.double)
        # Where there is no way up there is nothing to agree on.
        return float((rise[most > 0] / most[most > 0]).mean()) if (most > 0).any() else 1.0

    @abstractmethod
    def within(self, change: Tensor, epsilon: float) -> Tensor:
        """The nearest change whose norm is at most epsilon."""

    @abstractmethod
    def random(self, like: Tensor, generator: Generator) -> Tensor:
        """Draw changes uniformly from the ball of radius 1, with a CPU generator."""


class Linf(Norm):
    """The largest change of a pixel."""

    def steepest(self, gradient: Tensor) -> Tensor:
        """The sign of each entry."""
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
        """Scale to length 1."""
        # By the largest entry first, so that small squares do not vanish.
        largest = gradient.abs().flatten(1).amax(1).clamp_min(torch.finfo(gradient.dtype).tiny)
        scaled = gradient / per_example(largest, gradient)
        return scaled / per_example(scaled.flatten(1).norm(dim=1).clamp_min(1e-12), gradient)

    def within(self, change: Tensor, epsilon: float) -> Tensor:
        """Shorten changes that are too long."""
        # A change of length 0 stays as it is, without a division by 0.
        length = change.flatten(1).norm(dim=1).clamp_min(torch.finfo(change.dtype).tiny)
        return change * per_example((epsilon / length).clamp_max(1), change)

    def random(self, like: Tensor, generator: Generator) -> Tensor:
        """Draw a direction, and a length whose ``dimension``-th power is uniform."""
        # Normal numbers have no preferred direction.
        direction = self.steepest(_drawn(torch.randn, like, generator))
        share = torch.rand(len(like), generator=generator, dtype=like.dtype).to(like.device)
        return direction * per_example(share ** (1 / like[0].numel()), like)


def _drawn(draw: Callable[..., Tensor], like: Tensor, generator: Generator) -> Tensor:
    """Draw an array shaped like another, on the CPU so that it is the same on every device."""
    return draw(like.shape, generator=generator, dtype=like.dtype).to(like.device)


NORMS: Mapping[str, Norm] = {"linf": Linf(), "l2": L2()}
