"""CIFAR from torchvision's layout, CIFAR-10 also from JPEG copies, which are not exact to the pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from bench_uq.api import Categorical, Dataset, Download, Examples, MissingData, Task, UsageError
from bench_uq.datasets._images import image_files, read_classes
from bench_uq.datasets._originals import check_originals
from bench_uq.datasets._pickles import NotPlain, read_batch

Source = Literal["original", "jpeg"]

REFERENCE = "Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf"
SHAPE = (3, 32, 32)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
JPEG = "cifar10-jpeg"
PER_CLASS = {"train": 5000, "test": 1000}


@dataclass(frozen=True)
class Cifar10Classes(Dataset):
    """Photographs of some consecutive classes of CIFAR-10, which become labels 0, 1, ..."""

    reference: ClassVar[str] = REFERENCE
    name: ClassVar[str]
    classes: ClassVar[slice] = slice(None)

    source: Source = "original"  # jpeg: copies in ROOT/cifar10-jpeg/, not exact to the pixel

    def task(self, root: Path) -> Task:
        """Return a task of these classes."""
        return Task(SHAPE, Categorical(len(CLASSES[self.classes])))

    def files(self, root: Path) -> Sequence[Path]:
        """Return the files that these splits and classes are read from, or where they belong."""
        if self.source == "original":
            return list(originals("CIFAR10", root))
        folders = [
            root / JPEG / split / name for split in self.splits for name in CLASSES[self.classes]
        ]
        return [file for folder in folders for file in image_files(folder) or [folder]]

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read a split, the same for every fold."""
        return read_cifar10(self.name, root, split, self.source, self.classes)

    def downloads(self) -> Sequence[Download]:
        """Return the archive of the originals; the JPEG copies are the user's own."""
        return cifar_downloads("CIFAR10") if self.source == "original" else ()


def read_cifar10(
    dataset: str, root: Path, split: str, source: Source, classes: slice = slice(None)
) -> Examples:
    """Read the images (N, 3, 32, 32) of some consecutive classes, which become labels 0, 1, ..."""
    names = CLASSES[classes]
    if source == "jpeg":
        return read_jpeg(dataset, root / JPEG / split, names, PER_CLASS[split])
    examples = read_originals("CIFAR10", dataset, root, split)
    first = CLASSES.index(names[0])
    chosen = (examples.targets >= first) & (examples.targets < first + len(names))
    return Examples(examples.inputs[chosen], examples.targets[chosen] - first)


def read_jpeg(dataset: str, folder: Path, names: Sequence[str], count: int) -> Examples:
    """Read the JPEG copies of some classes, of which none may lack an image."""
    files = {name: image_files(folder / name) for name in names}
    missing = [folder / name for name in names if not files[name]]
    if missing:
        raise MissingData(dataset, missing)
    for name in names:
        if len(files[name]) != count:
            raise UsageError(f"{folder / name}: {len(files[name])} images, expected {count}")
    return Examples(*read_classes(files.values(), colour="rgb"))


def cifar_downloads(kind: str) -> Sequence[Download]:
    """Return the archive of torchvision's CIFAR10 or CIFAR100."""
    cls = loader(kind)
    return [Download(cls.filename, (cls.url,), md5=cls.tgz_md5, unpack=True)]


def read_originals(kind: str, dataset: str, root: Path, split: str) -> Examples:
    """Read a split (N, 3, 32, 32) of the originals, which are pickles, without unpickling them."""
    check_originals(dataset, originals(kind, root))
    cls = loader(kind)
    listed = {"train": cls.train_list, "test": cls.test_list}[split]
    read = [batch(root / cls.base_folder / name) for name, _ in listed]
    images, labels = (np.concatenate(parts) for parts in zip(*read, strict=True))
    return Examples(images, labels)


def batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the images (N, 3, 32, 32) and labels (N,) of one batch."""
    try:
        found = read_batch(path.read_bytes())
        images = found["data"].reshape(-1, *SHAPE)
        labels = np.array(found["labels"] if "labels" in found else found["fine_labels"], np.int64)
        if labels.shape != (len(images),):
            raise NotPlain(f"it has {len(images)} images and labels of the shape {labels.shape}")
    except (KeyError, AttributeError, TypeError, ValueError, OverflowError) as error:
        reason = error if isinstance(error, NotPlain) else "it has no images with labels"
        raise UsageError(f"{path}: no batch of CIFAR, {reason}") from error
    return images, labels


def originals(kind: str, root: Path) -> dict[Path, str]:
    """Return the files of torchvision's layout, of whichever split, with their md5."""
    cls = loader(kind)
    listed = [*cls.train_list, *cls.test_list, (cls.meta["filename"], cls.meta["md5"])]
    return {root / cls.base_folder / name: md5 for name, md5 in listed}


def loader(kind: str) -> Any:
    """Return torchvision's class."""
    import torchvision

    return getattr(torchvision.datasets, kind)
