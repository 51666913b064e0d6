"""The common corruptions of grey and of colour images, by severity.

The sets and their parameters are those of MNIST-C (mnist_c.py) and CIFAR-10-C (cifar_c.py), each
for one side of images. In images of another side lengths scale with the side; layers over them
(fog, snow, splashes, lines) are drawn at the published side and resized. Decisions where this
differs from the code of the papers:

* Unlike there, images stay floats throughout: only JPEG goes through 8 bits.
* Unlike ImageNet-C, whose parameters are for 224x224 pixels, colour images of all sides have those
  of CIFAR-10-C.
* As published, stripe, dotted-line, zigzag and canny-edges have one strength.
* Unlike there, the pixels of small images are split before glass-blur (glass.py), equal neighbours
  of an edge are equal in canny-edges (canny.py), and water has edges thinned along the gradient and
  exact distances (spatter.py).
* Like there, colours behind glass are copied, not swapped, grey glass-blur blurs down the columns
  only, and canny-edges and shear are those of scikit-image in 2019.
* Noise is drawn for each example. From one state of the generator the severities of a kind share
  the noise that they have in common.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Generator, Tensor

from bench_uq.api import Shift, Task
from bench_uq.conditions.corruption import cifar_c, mnist_c
from bench_uq.conditions.corruption.canvas import Canvas

# By the channels of an image.
SETS = {1: mnist_c, 3: cifar_c}

Kind = Literal[
    "brightness", "canny-edges", "contrast", "defocus-blur", "dotted-line", "elastic-transform",
    "fog", "gaussian-blur", "gaussian-noise", "glass-blur", "impulse-noise", "jpeg-compression",
    "motion-blur", "pixelate", "rotate", "saturate", "scale", "shear", "shot-noise", "snow",
    "spatter", "speckle-noise", "stripe", "translate", "zigzag", "zoom-blur",
]  # fmt: skip


@dataclass(frozen=True)
class Corruption(Shift):
    """A corruption at a severity of 0 to 5: MNIST-C's of grey, CIFAR-10-C's of colour images.

    Severity 0 leaves the images as they are. Some kinds are for grey or for colour images alone.
    """

    reference: ClassVar[str] = (
        "Mu and Gilmer 2019, https://arxiv.org/abs/1906.02337;"
        " Hendrycks and Dietterich 2019, https://arxiv.org/abs/1903.12261"
    )
    title: ClassVar[str] = "Corruption"
    level_name: ClassVar[str] = "severity"
    family: ClassVar[str] = "corruption"

    kind: Kind = field(default="fog", metadata={"named": True})

    def suits(self, task: Task) -> bool:
        """Whether the inputs are images with as many channels as this kind is for."""
        shape = task.input_shape
        return len(shape) == 3 and shape[0] in SETS and self.kind in SETS[shape[0]].KINDS

    def check_level(self, level: float) -> None:
        """Require a severity."""
        if level not in range(6):
            raise ValueError(f"a level is a severity, 0, 1, 2, 3, 4 or 5, not {level:g}")

    def __call__(self, inputs: Tensor, level: float, generator: Generator) -> Tensor:
        """Corrupt the images."""
        self.check_level(level)
        chosen = SETS.get(inputs.shape[1])
        if chosen is None or self.kind not in chosen.KINDS:
            known = ", ".join(sorted(chosen.KINDS)) if chosen else ""
            allowed = known or "images of 1 or 3 channels only"
            raise ValueError(f"no kind {self.kind!r} for {inputs.shape[1]} channels: {allowed}")
        if level == 0:
            return inputs.clone()

        function, parameters = chosen.KINDS[self.kind][int(level) - 1]
        corrupted = function(Canvas(inputs, generator, chosen.SIDE), *parameters)
        return corrupted.clamp(0, 1).contiguous()
