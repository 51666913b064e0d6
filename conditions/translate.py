"""Images moved to one side."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import functional

from bench_uq.api import Shift, Task


@dataclass(frozen=True)
class Translate(Shift):
    """A move by ``level``, 0 to 1, as a share of the image's side; bilinear, with black margins.

    Each example moves in a direction of its own: all angles are equally likely.
    """

    reference: ClassVar[str] = "Ovadia et al. 2019, section 4.1, https://arxiv.org/abs/1906.02530"
    title: ClassVar[str] = "Translation"
    level_name: ClassVar[str] = "shift"
    unit: ClassVar[str] = "share of the side"
    family: ClassVar[str] = "translation"

    def suits(self, task: Task) -> bool:
        """Whether the inputs are images."""
        return len(task.input_shape) == 3

    def check_level(self, level: float) -> None:
        """Require the whole side at most."""
        if not 0 <= level <= 1:
            raise ValueError(f"a level is a share of the image's side, 0 to 1, not {level:g}")

    def __call__(self, inputs: Tensor, level: float, generator: Generator) -> Tensor:
        """Move the images."""
        self.check_level(level)
        if level == 0:
            return inputs.clone()
        # Drawn on the CPU, where the generator is.
        angles = 2 * math.pi * torch.rand(len(inputs), generator=generator)
        directions = torch.stack((angles.cos(), angles.sin()), 1)
        return moved(inputs, level * directions).clamp(0, 1)


def moved(images: Tensor, shares: Tensor) -> Tensor:
    """Move images right and down by shares of their width and height, (B, 2)."""
    inverse = torch.eye(2, 3).repeat(len(images), 1, 1)
    # The affine map says where a pixel comes from, and a side of its grid is 2 long.
    inverse[:, :, 2] = -2 * shares
    grid = functional.affine_grid(inverse.to(images), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, "bilinear", "zeros", align_corners=False)
