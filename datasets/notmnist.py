"""notMNIST: letters A to J in MNIST's format, unseen data for networks that know MNIST."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench_uq.api import Categorical, Dataset, Download, Examples, Task
from bench_uq.datasets._idx import idx_files, read_examples

ORIGIN = "https://raw.githubusercontent.com/davidflanagan/notMNIST-to-MNIST/c58c29ff93d7b8c809c449b380a232f9f39909fd"
SHA256 = {
    "t10k-images-idx3-ubyte.gz": "8e7f38ae95cc8f48e0986175ffc9137e5007ebcf3d8fdf6656c904eb9dab198b",
    "t10k-labels-idx1-ubyte.gz": "5f8e6012f2ce730700d8d05fca098bc47f71d25b890e4bec7ac5ebfd614a4001",
}


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

    def downloads(self) -> Sequence[Download]:
        """Return the compressed idx files."""
        return [Download(f"notMNIST/raw/{name}", (f"{ORIGIN}/{name}",), sha256=SHA256[name]) for name in SHA256]
