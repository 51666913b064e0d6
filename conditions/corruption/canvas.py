"""What every corruption is given: images, a source of noise and a scale."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Canvas:
    """Images (B, C, H, W) in [0, 1], the CPU generator, and the side in pixels that the parameters are published for.

    Noise is drawn on the CPU, a part for each example, and then moved: it is the same on every device.
    """

    images: Tensor
    generator: Generator
    side: int

    @property
    def unit(self) -> float:
        """Return the length in these images of a pixel of the published ones."""
        return min(self.images.shape[-2:]) / self.side

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Return numbers between two bounds, (B, *shape)."""
        return low + (high - low) * self._placed(
            torch.rand(len(self.images), *shape, generator=self.generator)
        )

    def normal(self, mean: float, std: float, *shape: int) -> Tensor:
        """Return normal numbers, (B, *shape)."""
        return mean + std * self._placed(
            torch.randn(len(self.images), *shape, generator=self.generator)
        )

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Return whole numbers from ``low`` to below ``high``, (B, *shape), as floats."""
        return self._placed(
            torch.randint(low, high, (len(self.images), *shape), generator=self.generator)
        )

    def signs(self, *shape: int) -> Tensor:
        """Return -1 or 1, (B, *shape)."""
        return 2 * self.integers(0, 2, *shape) - 1

    def fitted(self, layer: Tensor) -> Tensor:
        """Return a layer (B, 1, side, side) drawn at the published size in the size of these images."""
        size = tuple(self.images.shape[-2:])
        if size == tuple(layer.shape[-2:]):
            return layer
        return functional.interpolate(layer, size=size, mode="bilinear", antialias=True)

    def _placed(self, values: Tensor) -> Tensor:
        return values.to(device=self.images.device, dtype=self.images.dtype)
