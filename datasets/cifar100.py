"""CIFAR-100: photographs of 32x32 pixels in a hundred classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench_uq.api import Categorical, Dataset, Download, Examples, Task
from bench_uq.datasets._cifar import REFERENCE, SHAPE, cifar_downloads, originals, read_originals


@dataclass(frozen=True)
class Cifar100(Dataset):
    """50,000 photographs for training and 10,000 for testing, in ROOT/cifar-100-python/."""

    reference: ClassVar[str] = REFERENCE
    title: ClassVar[str] = "CIFAR-100"

    def task(self, root: Path) -> Task:
        """Classify the hundred fine classes."""
        return Task(SHAPE, Categorical(100))

    def files(self, root: Path) -> Sequence[Path]:
        """List the pickled batches."""
        return list(originals("CIFAR100", root))

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read a split, the same for every fold."""
        return read_originals("CIFAR100", "cifar100", root, split)

    def downloads(self) -> Sequence[Download]:
        """Offer the archive."""
        return cifar_downloads("CIFAR100")
