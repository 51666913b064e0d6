"""Fashion-MNIST: clothes in MNIST's format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench_uq.api import Categorical, Dataset, Download, Examples, Task
from bench_uq.datasets._idx import idx_downloads, idx_files, read_examples


@dataclass(frozen=True)
class FashionMnist(Dataset):
    """60,000 clothes for training and 10,000 for testing, in torchvision's layout: ROOT/FashionMNIST/raw/."""

    reference: ClassVar[str] = "Xiao, Rasul and Vollgraf 2017, https://arxiv.org/abs/1708.07747"

    def task(self, root: Path) -> Task:
        """Return a task of ten classes."""
        return Task((1, 28, 28), Categorical(10), network="lenet")

    def files(self, root: Path) -> Sequence[Path]:
        """Return the idx files."""
        return idx_files(root / "FashionMNIST" / "raw", ("train", "t10k"))

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read a split, the same for every fold."""
        stems = {"train": "train", "test": "t10k"}
        return read_examples("fashion-mnist", root / "FashionMNIST" / "raw", stems[split], of=stems.values())

    def downloads(self) -> Sequence[Download]:
        """Return the compressed idx files."""
        return idx_downloads("FashionMNIST")
