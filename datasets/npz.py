"""Arrays of your own in one file of NumPy's: x_train, y_train, x_test and y_test."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench_uq.api import Categorical, Dataset, Examples, Task, UsageError
from bench_uq.datasets._arrays import read_splits
from bench_uq.datasets._files import located, stamp

UNSET = Path("FILE.npz")


@dataclass(frozen=True)
class Npz(Dataset):
    """Images (N,H,W), (N,C,H,W) or (N,H,W,C) or features (N,F) of your own with labels (N,); x_test
    and y_test alone are OOD data.
    """

    reference: ClassVar[str] = (
        "numpy.savez, https://numpy.org/doc/stable/reference/generated/numpy.savez.html"
    )
    title: ClassVar[str] = "Arrays"

    path: Path = UNSET  # below the root of the data, else in the working folder
    scale: float = 0.0  # number that stands for 1; 0 is 255 for bytes and 1 for floats

    def __post_init__(self) -> None:
        if not 0 <= self.scale < math.inf:
            raise ValueError(f"scale must be 0 or a number above it, not {self.scale}")

    def task(self, root: Path) -> Task:
        """As many classes as y_train has, or y_test if there is no y_train."""
        splits = self.read(self.file(root))
        first = splits.get("train", splits["test"])
        return Task(first.inputs.shape[1:], Categorical(int(first.targets.max()) + 1))

    def files(self, root: Path) -> Sequence[Path]:
        """List the file."""
        return [self.file(root)]

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Copy a split, the same for every fold."""
        file = self.file(root)
        splits = self.read(file)
        if split not in splits:
            reason = f"no x_{split} and y_{split}: as OOD data it has a test split only"
            raise UsageError(f"{file}: {reason}")
        return Examples(splits[split].inputs.copy(), splits[split].targets.copy())

    def read(self, file: Path) -> dict[str, Examples]:
        """Read the splits."""
        return read_splits(*stamp(file), self.scale)

    def file(self, root: Path) -> Path:
        """The file of the arrays."""
        return located("npz", self.path, root, unset=UNSET)
