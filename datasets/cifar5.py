"""The first five classes of CIFAR-10: airplane, automobile, bird, cat and deer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench_uq.api import Categorical, Dataset, Download, Examples, Task
from bench_uq.datasets._cifar import REFERENCE, SEEN, SHAPE, Source, cifar10_downloads, cifar10_files, read_cifar10


@dataclass(frozen=True)
class Cifar5(Dataset):
    """25,000 photographs for training and 5,000 for testing; cifar5-hidden holds the other classes."""

    reference: ClassVar[str] = REFERENCE

    source: Source = "original"  # jpeg: copies in ROOT/cifar10-jpeg/, not exact to the pixel

    def task(self, root: Path) -> Task:
        """Return a task of five classes."""
        return Task(SHAPE, Categorical(5))

    def files(self, root: Path) -> Sequence[Path]:
        """Return the files of CIFAR-10."""
        return cifar10_files(root, self.source, self.splits, SEEN)

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read a split, the same for every fold."""
        return read_cifar10("cifar5", root, split, self.source, SEEN)

    def downloads(self) -> Sequence[Download]:
        """Return the archive of the originals."""
        return cifar10_downloads(self.source)
