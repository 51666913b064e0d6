"""KMNIST: cursive Japanese characters in MNIST's format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench_uq.api import Categorical, Dataset, Download, Examples, Task
from bench_uq.datasets._idx import idx_downloads, idx_files, read_examples


@dataclass(frozen=True)
class KMnist(Dataset):
    """60,000 characters for training and 10,000 for testing, in torchvision's layout: ROOT/KMNIST/raw/."""

    reference: ClassVar[str] = "Clanuwat et al. 2018, https://arxiv.org/abs/1812.01718"

    def task(self, root: Path) -> Task:
        """Return a task of ten classes."""
        return Task((1, 28, 28), Categorical(10), network="lenet")

    def files(self, root: Path) -> Sequence[Path]:
        """Return the idx files."""
        return idx_files(root / "KMNIST" / "raw", ("train", "t10k"))

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read a split, the same for every fold."""
        stems = {"train": "train", "test": "t10k"}
        return read_examples("kmnist", root / "KMNIST" / "raw", stems[split], of=stems.values())

    def downloads(self) -> Sequence[Download]:
        """Return the compressed idx files."""
        return idx_downloads("KMNIST")
