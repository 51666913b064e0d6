"""Handwritten digits of 8x8 pixels from scikit-learn: small enough for a laptop, no download."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench_uq.api import Categorical, Dataset, Examples, Task

TEST_SIZE = 360


@dataclass(frozen=True)
class Digits(Dataset):
    """1,797 digits, 360 of them for testing, every class in proportion."""

    reference: ClassVar[str] = (
        "Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, 1998, "
        "https://doi.org/10.24432/C50P49"
    )
    title: ClassVar[str] = "Digits"

    def task(self, root: Path) -> Task:
        """Ten classes; mean and std are those of the training split."""
        return Task((1, 8, 8), Categorical(10), mean=(0.3054,), std=(0.3761,), network="lenet")

    def files(self, root: Path) -> Sequence[Path]:
        """No files: the digits come with a package."""
        return ()

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Copy a split, the same for every fold; grey levels are sixteenths."""
        kept = splits()[split]
        # Copies, so that a caller who changes them changes no later load.
        return Examples(kept.inputs.copy(), kept.targets.copy())


# Read once, however many seeds are planned.
@functools.cache
def splits() -> dict[str, Examples]:
    """Split the digits of scikit-learn."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    inputs = (data.images[:, None] / 16).astype(np.float32)
    targets = data.target.astype(np.int64)

    rows = np.arange(len(targets))
    train, test = train_test_split(rows, test_size=TEST_SIZE, stratify=targets, random_state=0)
    return {
        "train": Examples(inputs[train], targets[train]),
        "test": Examples(inputs[test], targets[test]),
    }
