"""Rotated images."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, Tensor

from bench_uq.api import Shift, Task


@dataclass(frozen=True)
class Rotate(Shift):
    """A turn counterclockwise by ``level`` degrees, 0 to 180; bilinear, with black corners."""

    reference: ClassVar[str] = (
        "Gal and Ghahramani 2016, section 5.2, https://arxiv.org/abs/1506.02142"
    )
    title: ClassVar[str] = "Rotation"
    level_name: ClassVar[str] = "angle"
    unit: ClassVar[str] = "degrees"
    family: ClassVar[str] = "rotation"

    def suits(self, task: Task) -> bool:
        """Whether the inputs are images."""
        return len(task.input_shape) == 3

    def check_level(self, level: float) -> None:
        """Require half a turn at most."""
        if not 0 <= level <= 180:
            raise ValueError(f"a level is in degrees, 0 to 180, not {level:g}")

    def __call__(self, inputs: Tensor, level: float, generator: Generator) -> Tensor:
        """Turn the images about their centre."""
        from torchvision.transforms.v2 import InterpolationMode
        from torchvision.transforms.v2.functional import rotate

        # All images are turned alike.
        del generator
        self.check_level(level)
        if level == 0:
            return inputs.clone()
        turned: Tensor = rotate(inputs, level, interpolation=InterpolationMode.BILINEAR)
        return turned.clamp(0, 1)
