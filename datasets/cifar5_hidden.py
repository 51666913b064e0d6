"""The last five classes of CIFAR-10, unseen data for networks that know the first five."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench_uq.api import Categorical, Dataset, Download, Examples, Task
from bench_uq.datasets._cifar import HIDDEN, REFERENCE, SHAPE, Source, cifar10_downloads, cifar10_files, read_cifar10


@dataclass(frozen=True)
class Cifar5Hidden(Dataset):
    """5,000 photographs of dogs, frogs, horses, ships and trucks, as labels 0 to 4."""

    reference: ClassVar[str] = REFERENCE
    splits: ClassVar[tuple[str, ...]] = ("test",)

    source: Source = "original"  # jpeg: copies in ROOT/cifar10-jpeg/, not exact to the pixel

    def task(self, root: Path) -> Task:
        """Return a task of five classes."""
        return Task(SHAPE, Categorical(5))

    def files(self, root: Path) -> Sequence[Path]:
        """Return the files of CIFAR-10."""
        return cifar10_files(root, self.source, self.splits, HIDDEN)

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read a split, the same for every fold."""
        return read_cifar10("cifar5-hidden", root, split, self.source, HIDDEN)

    def downloads(self) -> Sequence[Download]:
        """Return the archive of the originals."""
        return cifar10_downloads(self.source)
