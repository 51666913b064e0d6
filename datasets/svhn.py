"""SVHN: digits of house numbers, photographs of 32x32 pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench_uq.api import Categorical, Dataset, Download, Examples, Task
from bench_uq.datasets._files import check_originals, torchvision_class

FOLDER = "SVHN"


@dataclass(frozen=True)
class Svhn(Dataset):
    """73,257 digits for training and 26,032 for testing, in ROOT/SVHN/{train,test}_32x32.mat."""

    reference: ClassVar[str] = "Netzer et al. 2011, https://research.google/pubs/pub37648/"
    title: ClassVar[str] = "SVHN"

    def task(self, root: Path) -> Task:
        """Ten classes, the digit 0 as label 0."""
        return Task((3, 32, 32), Categorical(10))

    def files(self, root: Path) -> Sequence[Path]:
        """List the file of each split."""
        return [file_of(split, root)[0] for split in self.splits]

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read a split, the same for every fold, from its own file alone."""
        if split not in self.splits:
            raise KeyError(split)
        path, md5 = file_of(split, root)
        check_originals("svhn", {path: md5})
        # torchvision turns the label 10, which the files have for the digit 0, into 0.
        data = torchvision_class("SVHN")(root / FOLDER, split)
        return Examples(np.ascontiguousarray(data.data), data.labels)

    def downloads(self) -> Sequence[Download]:
        """Offer the file of each split."""
        listed = [torchvision_class("SVHN").split_list[split] for split in self.splits]
        return [Download(f"{FOLDER}/{name}", (url,), md5=md5) for url, name, md5 in listed]


def file_of(split: str, root: Path) -> tuple[Path, str]:
    """The file of a split, with its md5."""
    _, name, md5 = torchvision_class("SVHN").split_list[split]
    return root / FOLDER / name, md5
