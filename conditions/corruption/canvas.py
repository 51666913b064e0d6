"""The input of every corruption: images, a source of noise, a scale and a severity."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Canvas:
    """Images (B, C, H, W) in [0, 1], a CPU generator, and the side of the published images.

    Noise is drawn on the CPU, for each example its own, so that it is the same on every device.
    """

    images: Tensor
    generator: Generator
    side: int

    @property
    def unit(self) -> float:
        """The length in these images of a pixel of the published ones."""
        return min(self.images.shape[-2:]) / self.side

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw numbers between two bounds, (B, *shape)."""
        drawn = torch.rand(len(self.images), *shape, generator=self.generator)
        return low + (high - low) * self._placed(drawn)

    def normal(self, mean: float, std: float, *shape: int) -> Tensor:
        """Draw normal numbers, (B, *shape)."""
        drawn = torch.randn(len(self.images), *shape, generator=self.generator)
        return mean + std * self._placed(drawn)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Draw whole numbers from ``low`` to below ``high``, (B, *shape), as floats."""
        size = (len(self.images), *shape)
        return self._placed(torch.randint(low, high, size, generator=self.generator))

    def signs(self, *shape: int) -> Tensor:
        """Draw -1 or 1, (B, *shape)."""
        return 2 * self.integers(0, 2, *shape) - 1

    def fitted(self, layer: Tensor) -> Tensor:
        """Fit a layer (B, 1, side, side), drawn at the published size, to these images."""
        size = tuple(self.images.shape[-2:])
        if size == tuple(layer.shape[-2:]):
            return layer
        return functional.interpolate(layer, size=size, mode="bilinear", antialias=True)

    def _placed(self, values: Tensor) -> Tensor:
        return values.to(device=self.images.device, dtype=self.images.dtype)


# A corruption, with the parameters that follow its canvas.
Severity = tuple[Callable[..., Tensor], tuple[float, ...]]


def severities(
    function: Callable[..., Tensor], *parameters: tuple[float, ...] | float
) -> tuple[Severity, ...]:
    """Pair a corruption with each of its parameters, from mild to severe."""
    return tuple((function, one if isinstance(one, tuple) else (one,)) for one in parameters)
