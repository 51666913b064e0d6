"""notMNIST: letters A to J in MNIST's format, unseen data for networks that know MNIST."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench_uq.api import Categorical, Dataset, Examples, Task
from bench_uq.datasets._idx import idx_files, read_examples


@dataclass(frozen=True)
class NotMnist(Dataset):
    """10,000 letters from found typefaces, 1,000 a class, in ROOT/notMNIST/raw/."""

    reference: ClassVar[str] = "Bulatov 2011, https://yaroslavvb.blogspot.com/2011/09/notmnist-dataset.html"
    splits: ClassVar[tuple[str, ...]] = ("test",)

    def task(self, root: Path) -> Task:
        """Return the task of MNIST: these letters are for networks trained on it."""
        return Task((1, 28, 28), Categorical(10), mean=(0.1307,), std=(0.3081,), network="lenet")

    def files(self, root: Path) -> Sequence[Path]:
        """Return the idx files."""
        return idx_files(root / "notMNIST" / "raw", ("t10k",))

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read the letters."""
        stems = {"test": "t10k"}
        return read_examples("notmnist", root / "notMNIST" / "raw", stems[split], of=stems.values())
