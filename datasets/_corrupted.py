"""Datasets in npy files: published corruptions of the test examples of another dataset."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench_uq.api import Categorical, Dataset, Examples, MissingData, Task, UsageError


@dataclass(frozen=True)
class CorruptedDataset(Dataset):
    """Test images of ten classes; ``files`` are that of the images and that of the labels."""

    splits: ClassVar[tuple[str, ...]] = ("test",)
    name: ClassVar[str]
    shape: ClassVar[tuple[int, int, int]]  # (C, H, W)
    parts: ClassVar[int] = 1  # equal ones, which a file holds one after the other

    @property
    def part(self) -> int:
        """The part to read, from 0 on."""
        return 0

    def task(self, root: Path) -> Task:
        """Classify images into ten classes."""
        return Task(self.shape, Categorical(10))

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read a part of the images (N, H, W, C) as (n, C, H, W), with its labels."""
        if split != "test":
            raise ValueError(f"{self.name} has no split {split!r}, only 'test'")
        images, labels = self.files(root) or ()
        channels, height, width = self.shape
        inputs = read_npy(self.name, images, "uint8 images", (height, width, channels))
        targets = read_npy(self.name, labels, "labels", ())
        if len(inputs) != len(targets):
            found = f"{len(inputs)} images, {len(targets)} labels in {labels.name}"
            raise UsageError(f"{images}: {found}")

        count, rest = divmod(len(inputs), self.parts)
        if rest or not count:
            expected = f"expected a multiple of {self.parts}"
            raise UsageError(f"{images}: {len(inputs)} images, {expected}")

        # Copied, since the arrays are mapped from their files.
        chosen = slice(self.part * count, (self.part + 1) * count)
        pixels = np.array(inputs[chosen].transpose(0, 3, 1, 2), order="C")
        return Examples(pixels, np.array(targets[chosen], np.int64))


def read_npy(dataset: str, path: Path, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Map an array (N, *shape) of whole numbers from its file, without pickles."""
    if not path.is_file():
        raise MissingData(dataset, [path])
    try:
        # Mapped: CIFAR-10-C has all severities in one file, of which one is read.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("an archive of arrays")
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"{path}: not an npy file, or a damaged one") from error

    # Labels may be whole numbers of any size.
    right_type = array.dtype == np.uint8 if shape else array.dtype.kind in "iu"
    if array.ndim == 0 or array.shape[1:] != shape or not right_type:
        sizes = ", ".join(["N", *map(str, shape)])
        found = f"an array {array.shape} of {array.dtype}"
        raise UsageError(f"{path}: {found}, expected {kind} ({sizes})")
    return array
