"""MNIST-C: MNIST's test digits under fifteen corruptions, in the files of its authors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from bench_uq.api import Categorical, Dataset, Examples, Task
from bench_uq.datasets._corrupted import only_test, read_corrupted


@dataclass(frozen=True)
class MnistC(Dataset):
    """10,000 digits at the one severity that was published, in ROOT/mnist_c/<corruption>/test_images.npy."""

    reference: ClassVar[str] = "Mu & Gilmer 2019, https://arxiv.org/abs/1906.02337"
    splits: ClassVar[tuple[str, ...]] = ("test",)
    shift_of: ClassVar[tuple[str, ...]] = ("mnist",)

    corruption: Literal[
        "brightness",
        "canny-edges",
        "dotted-line",
        "fog",
        "glass-blur",
        "identity",
        "impulse-noise",
        "motion-blur",
        "rotate",
        "scale",
        "shear",
        "shot-noise",
        "spatter",
        "stripe",
        "translate",
        "zigzag",
    ] = "fog"

    def task(self, root: Path) -> Task:
        """Return ten classes of 28x28 pixels."""
        return Task((1, 28, 28), Categorical(10))

    def files(self, root: Path) -> Sequence[Path]:
        """Return the images and the labels."""
        folder = root / "mnist_c" / self.corruption.replace("-", "_")
        return [folder / "test_images.npy", folder / "test_labels.npy"]

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Return the corrupted test digits."""
        only_test("mnist-c", split)
        images, labels = self.files(root)
        return read_corrupted("mnist-c", images, labels, (1, 28, 28))
