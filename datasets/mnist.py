"""MNIST: handwritten digits of 28x28 pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench_uq.api import Categorical, Dataset, Download, Examples, Task
from bench_uq.datasets._idx import idx_downloads, idx_files, read_examples


@dataclass(frozen=True)
class Mnist(Dataset):
    """60,000 digits for training and 10,000 for testing, in torchvision's layout: ROOT/MNIST/raw/."""

    reference: ClassVar[str] = "LeCun, Bottou, Bengio and Haffner 1998, https://doi.org/10.1109/5.726791"

    def task(self, root: Path) -> Task:
        """Return a task of ten classes; mean and std are those of the training split."""
        return Task((1, 28, 28), Categorical(10), mean=(0.1307,), std=(0.3081,), network="lenet")

    def files(self, root: Path) -> Sequence[Path]:
        """Return the idx files."""
        return idx_files(root / "MNIST" / "raw", ("train", "t10k"))

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read a split, the same for every fold."""
        stems = {"train": "train", "test": "t10k"}
        return read_examples("mnist", root / "MNIST" / "raw", stems[split], of=stems.values())

    def downloads(self) -> Sequence[Download]:
        """Return the compressed idx files."""
        return idx_downloads("MNIST")
