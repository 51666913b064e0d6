"""SVHN: digits of house numbers, photographs of 32x32 pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench_uq.api import Categorical, Dataset, Download, Examples, Task
from bench_uq.datasets._originals import check_originals

FOLDER = "SVHN"


@dataclass(frozen=True)
class Svhn(Dataset):
    """73,257 digits for training and 26,032 for testing, in ROOT/SVHN/{train,test}_32x32.mat."""

    reference: ClassVar[str] = "Netzer et al. 2011, https://research.google/pubs/pub37648/"

    def task(self, root: Path) -> Task:
        """Return a task of ten classes, the digit 0 as label 0."""
        return Task((3, 32, 32), Categorical(10))

    def files(self, root: Path) -> Sequence[Path]:
        """Return the file of each split."""
        return [path for split in self.splits for path in original(split, root)]

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read a split, the same for every fold; its own file is enough."""
        if split not in self.splits:
            raise KeyError(split)
        check_originals("svhn", original(split, root))
        data = loader()(root / FOLDER, split)
        return Examples(np.ascontiguousarray(data.data), data.labels)

    def downloads(self) -> Sequence[Download]:
        """Return the file of each split."""
        listed = [loader().split_list[split] for split in self.splits]
        return [Download(f"{FOLDER}/{name}", (url,), md5=md5) for url, name, md5 in listed]


def original(split: str, root: Path) -> dict[Path, str]:
    """Return the file of a split with its md5."""
    _, name, md5 = loader().split_list[split]
    return {root / FOLDER / name: md5}


def loader() -> Any:
    """Return torchvision's class."""
    import torchvision

    return torchvision.datasets.SVHN
