"""Datasets in idx files, the format of MNIST; an inconsistency is reported in one line."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench_uq.api import Categorical, Dataset, Download, Examples, MissingData, Task, UsageError
from bench_uq.datasets._files import read_content, torchvision_class

SIZE = (28, 28)
CLASSES = 10
STEMS = {"train": "train", "test": "t10k"}  # how the files of a split begin
#: How an idx file of unsigned bytes begins; the number of its dimensions follows.
UNSIGNED_BYTES = bytes((0, 0, 8))
KINDS = {1: "labels", 3: "images"}  # by the number of dimensions


@dataclass(frozen=True)
class IdxDataset(Dataset):
    """Images of 28x28 pixels in ten classes, in ROOT/FOLDER/raw/, as torchvision lays them out."""

    name: ClassVar[str]
    folder: ClassVar[str]  # also the name of torchvision's class
    mean: ClassVar[tuple[float, ...]] = ()
    std: ClassVar[tuple[float, ...]] = ()
    installed: ClassVar[str] = ""  # folder of a distribution's package with the compressed files
    sha256: ClassVar[tuple[str, ...]] = ()  # of their contents, in torchvision's order

    def task(self, root: Path) -> Task:
        """Ten classes of grey images."""
        return Task((1, *SIZE), Categorical(CLASSES), self.mean, self.std, network="lenet")

    def files(self, root: Path) -> Sequence[Path]:
        """List the idx files, each plain or .gz; where one is missing, its plain name."""
        files: list[Path] = []
        for split in self.splits:
            files += pair(root / self.folder / "raw", split)
        return files

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read a split, the same for every fold; the other one may be missing."""
        if split not in self.splits:
            raise KeyError(split)
        # All missing files are named at once, those of the other split too.
        if not all(path.is_file() for path in pair(root / self.folder / "raw", split)):
            raise MissingData(self.name, [path for path in self.files(root) if not path.is_file()])
        return read_examples(*pair(root / self.folder / "raw", split))

    def downloads(self) -> Sequence[Download]:
        """Offer the compressed files of torchvision's dataset, which knows addresses and hashes."""
        kind = torchvision_class(self.folder)
        downloads = []
        for index, (file, md5) in enumerate(kind.resources):
            urls = tuple(f"{mirror}{file}" for mirror in kind.mirrors)
            download = Download(f"{self.folder}/raw/{file}", urls, md5=md5)
            if self.installed:
                # A distribution compresses the same content to other bytes.
                place, content = f"{self.installed}/{file}", self.sha256[index]
                download = replace(download, md5="", sha256=content, installed=place)
            downloads.append(download)
        return downloads


def pair(folder: Path, split: str) -> tuple[Path, Path]:
    """The files of the images and the labels of a split, each plain or .gz."""
    images = folder / f"{STEMS[split]}-images-idx3-ubyte"
    labels = folder / f"{STEMS[split]}-labels-idx1-ubyte"
    return plain_or_gz(images), plain_or_gz(labels)


def plain_or_gz(path: Path) -> Path:
    """The compressed file where there is only that, else the plain one."""
    compressed = path.with_name(f"{path.name}.gz")
    return compressed if compressed.is_file() and not path.is_file() else path


def read_examples(images_path: Path, labels_path: Path) -> Examples:
    """Read the images (N, 1, 28, 28) and labels (N,) of a split."""
    images = read_idx(images_path, dimensions=3)
    labels = read_idx(labels_path, dimensions=1)
    height, width = images.shape[1:]
    if (height, width) != SIZE:
        raise UsageError(f"{images_path}: images of {height}x{width} pixels, expected 28x28")
    if len(images) != len(labels):
        reason = f"{len(labels)} labels for the {len(images)} images in {images_path.name}"
        raise UsageError(f"{labels_path}: {reason}")
    if labels.max() >= CLASSES:
        raise UsageError(f"{labels_path}: label {labels.max()} lies outside 0..{CLASSES - 1}")
    return Examples(images[:, None], labels.astype(np.int64))


def read_idx(path: Path, *, dimensions: int) -> np.ndarray:
    """Read an array of unsigned bytes, whose header must agree with the length of its file."""
    # Unlike an array on bytes, one on a bytearray can be written to.
    content = bytearray(read_content(path))
    header = 4 + 4 * dimensions
    check_magic(path, bytes(content[:4]), dimensions)
    if len(content) < header:
        raise UsageError(f"{path}: truncated in its header, {len(content)} bytes")

    # Python's integers: a product of NumPy's could overflow and agree by chance.
    counts = np.frombuffer(content, ">u4", dimensions, offset=4).tolist()
    expected = header + math.prod(counts)
    if len(content) != expected:
        state = "truncated" if len(content) < expected else "too long"
        reason = f"{state}, {len(content)} bytes where its header says {expected}"
        raise UsageError(f"{path}: {reason}")
    if counts[0] == 0:
        raise UsageError(f"{path}: empty")
    return np.frombuffer(content, np.uint8, offset=header).reshape(counts)


def check_magic(path: Path, magic: bytes, dimensions: int) -> None:
    """Require the first four bytes of an idx file of unsigned bytes with so many dimensions."""
    # It is reported as a truncated header.
    if len(magic) < 4:
        return
    wanted = UNSIGNED_BYTES + bytes((dimensions,))
    if magic[:3] != UNSIGNED_BYTES:
        raise UsageError(f"{path}: wrong magic number 0x{magic.hex()}, expected 0x{wanted.hex()}")
    if magic != wanted:
        kind = KINDS.get(magic[3], "something else")
        raise UsageError(f"{path}: holds {kind} where {KINDS[dimensions]} belong")
