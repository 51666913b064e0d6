"""MNIST-C: MNIST's test digits under fifteen corruptions, in the files of its authors."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from bench_uq.datasets._corrupted import CorruptedDataset


@dataclass(frozen=True)
class MnistC(CorruptedDataset):
    """10,000 digits at the published severity, in ROOT/mnist_c/<corruption>/test_images.npy."""

    reference: ClassVar[str] = "Mu & Gilmer 2019, https://arxiv.org/abs/1906.02337"
    title: ClassVar[str] = "MNIST-C"
    shift_of: ClassVar[tuple[str, ...]] = ("mnist",)
    name: ClassVar[str] = "mnist-c"
    shape: ClassVar[tuple[int, int, int]] = (1, 28, 28)

    corruption: Literal[
        "brightness", "canny-edges", "dotted-line", "fog", "glass-blur", "identity",
        "impulse-noise", "motion-blur", "rotate", "scale", "shear", "shot-noise",
        "spatter", "stripe", "translate", "zigzag",
    ] = "fog"  # fmt: skip

    def files(self, root: Path) -> Sequence[Path]:
        """List the images and the labels."""
        folder = root / "mnist_c" / self.corruption.replace("-", "_")
        return [folder / "test_images.npy", folder / "test_labels.npy"]
