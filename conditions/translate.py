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
    """A move by ``level``, 0 to 1, as a share of the image's side; bilinear, black where the image does not reach.

    Each example moves in a direction of its own, drawn from the generator: all angles are equally likely.
    """

    reference: ClassVar[str] = "Ovadia et al. 2019, section 4.1, https://arxiv.org/abs/1906.02530"

    def suits(self, task: Task) -> bool:
        """Return whether the inputs are images."""
        return len(task.input_shape) == 3

    def check_level(self, level: float) -> None:
        """Refuse more than the whole side."""
        if not 0 <= level <= 1:
            raise ValueError(f"a level is a share of the image's side, 0 to 1, not {level:g}")

    def __call__(self, inputs: Tensor, level: float, generator: Generator) -> Tensor:
        """Return the moved images."""
        self.check_level(level)
        if level == 0:
            return inputs.clone()
        angles = 2 * math.pi * torch.rand(len(inputs), generator=generator)
        return moved(inputs, level * torch.stack((angles.cos(), angles.sin()), 1)).clamp(0, 1)


def moved(images: Tensor, shares: Tensor) -> Tensor:
    """Return images moved right and down by shares of their width and height, (B, 2)."""
    inverse = torch.eye(2, 3).repeat(len(images), 1, 1)
    inverse[:, :, 2] = -2 * shares  # where a pixel comes from; a side of the grid is 2 long
    grid = functional.affine_grid(inverse.to(images), list(images.shape), align_corners=False)
    return functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
