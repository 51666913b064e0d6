"""CIFAR-10: photographs of 32x32 pixels in ten classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench_uq.api import Categorical, Dataset, Download, Examples, Task
from bench_uq.datasets._cifar import REFERENCE, SHAPE, Source, cifar10_downloads, cifar10_files, read_cifar10


@dataclass(frozen=True)
class Cifar10(Dataset):
    """50,000 photographs for training and 10,000 for testing, in torchvision's layout: ROOT/cifar-10-batches-py/."""

    reference: ClassVar[str] = REFERENCE

    source: Source = "original"  # jpeg: copies in ROOT/cifar10-jpeg/, not exact to the pixel

    def task(self, root: Path) -> Task:
        """Return a task of ten classes."""
        return Task(SHAPE, Categorical(10))

    def files(self, root: Path) -> Sequence[Path]:
        """Return the files of CIFAR-10."""
        return cifar10_files(root, self.source, self.splits)

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read a split, the same for every fold."""
        return read_cifar10("cifar10", root, split, self.source)

    def downloads(self) -> Sequence[Download]:
        """Return the archive of the originals."""
        return cifar10_downloads(self.source)
