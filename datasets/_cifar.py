"""CIFAR in torchvision's layout, and CIFAR-10 from JPEG copies, which are not pixel-exact."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from bench_uq.api import Categorical, Dataset, Download, Examples, MissingData, Task, UsageError
from bench_uq.datasets._files import check_originals, torchvision_class
from bench_uq.datasets._images import image_files, read_classes
from bench_uq.datasets._pickles import NotPlain, read_batch

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

    # jpeg: copies in ROOT/cifar10-jpeg/. They are not pixel-exact: results name the source.
    source: Literal["original", "jpeg"] = "original"

    def task(self, root: Path) -> Task:
        """Classify these classes."""
        return Task(SHAPE, Categorical(len(CLASSES[self.classes])))

    def files(self, root: Path) -> Sequence[Path]:
        """List the files of these splits and classes; of a class without copies, its folder."""
        if self.source == "original":
            return list(originals("CIFAR10", root))

        files: list[Path] = []
        for split in self.splits:
            for name in CLASSES[self.classes]:
                folder = root / JPEG / split / name
                files += image_files(folder) or [folder]
        return files

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read a split, the same for every fold."""
        names = CLASSES[self.classes]
        if self.source == "jpeg":
            return read_jpeg(self.name, root / JPEG / split, names, PER_CLASS[split])

        examples = read_originals("CIFAR10", self.name, root, split)
        # Labels count from 0 in each dataset, whatever classes it has.
        first = CLASSES.index(names[0])
        chosen = (examples.targets >= first) & (examples.targets < first + len(names))
        return Examples(examples.inputs[chosen], examples.targets[chosen] - first)

    def downloads(self) -> Sequence[Download]:
        """Offer the archive of the originals; the JPEG copies are the user's own."""
        return cifar_downloads("CIFAR10") if self.source == "original" else ()


def read_jpeg(dataset: str, folder: Path, names: Sequence[str], count: int) -> Examples:
    """Read the JPEG copies of some classes, ``count`` of each."""
    files = {name: image_files(folder / name) for name in names}
    missing = [folder / name for name in names if not files[name]]
    if missing:
        raise MissingData(dataset, missing)

    # With an image less the scores would be those of other data.
    for name in names:
        if len(files[name]) != count:
            raise UsageError(f"{folder / name}: {len(files[name])} images, expected {count}")
    return Examples(*read_classes(files.values(), colour="rgb"))


def cifar_downloads(kind: str) -> Sequence[Download]:
    """Offer the archive of torchvision's CIFAR10 or CIFAR100."""
    cls = torchvision_class(kind)
    return [Download(cls.filename, (cls.url,), md5=cls.tgz_md5, unpack=True)]


def read_originals(kind: str, dataset: str, root: Path, split: str) -> Examples:
    """Read a split (N, 3, 32, 32) of the originals."""
    # A file that is not the original is refused before it is unpickled.
    check_originals(dataset, originals(kind, root))
    cls = torchvision_class(kind)
    listed = {"train": cls.train_list, "test": cls.test_list}[split]

    batches = [read_file(root / cls.base_folder / name) for name, _ in listed]
    images = np.concatenate([batch.inputs for batch in batches])
    labels = np.concatenate([batch.targets for batch in batches])
    return Examples(images, labels)


def read_file(path: Path) -> Examples:
    """Read the images (N, 3, 32, 32) and labels (N,) of one batch."""
    try:
        found = read_batch(path.read_bytes())
        images = found["data"].reshape(-1, *SHAPE)
        labels = np.array(found["labels"] if "labels" in found else found["fine_labels"], np.int64)
        if labels.shape != (len(images),):
            raise NotPlain(f"it has {len(images)} images and labels of the shape {labels.shape}")
    except NotPlain as error:
        raise UsageError(f"{path}: not a batch of CIFAR, {error}") from error
    except (KeyError, AttributeError, TypeError, ValueError, OverflowError) as error:
        reason = "it has no images with labels"
        raise UsageError(f"{path}: not a batch of CIFAR, {reason}") from error
    return Examples(images, labels)


def originals(kind: str, root: Path) -> dict[Path, str]:
    """List the files of torchvision's layout, of both splits, with their md5."""
    cls = torchvision_class(kind)
    listed = [*cls.train_list, *cls.test_list, (cls.meta["filename"], cls.meta["md5"])]
    return {root / cls.base_folder / name: md5 for name, md5 in listed}
