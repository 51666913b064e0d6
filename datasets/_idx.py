"""Datasets of idx files, the format of MNIST; whatever does not add up in one is an error in one line."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench_uq.api import (
    Bomb,
    Categorical,
    Dataset,
    Download,
    Examples,
    MissingData,
    Task,
    UsageError,
    gunzip,
)

SIZE = (28, 28)
CLASSES = 10
STEMS = {"train": "train", "test": "t10k"}  # how the files of a split begin
UNSIGNED_BYTES = bytes(
    (0, 0, 8)
)  # how an idx file of them begins; the number of dimensions follows
KINDS = {1: "labels", 3: "images"}  # by that number


@dataclass(frozen=True)
class IdxDataset(Dataset):
    """Images of 28x28 pixels in ten classes, in ROOT/FOLDER/raw/, as torchvision lays them out."""

    name: ClassVar[str]
    folder: ClassVar[str]  # also the name of torchvision's class
    mean: ClassVar[tuple[float, ...]] = ()
    std: ClassVar[tuple[float, ...]] = ()

    def task(self, root: Path) -> Task:
        """Return a task of ten classes."""
        return Task((1, *SIZE), Categorical(CLASSES), self.mean, self.std, network="lenet")

    def files(self, root: Path) -> Sequence[Path]:
        """Return the idx files, each plain or .gz, or where it belongs."""
        folder = root / self.folder / "raw"
        return [found(path) or path for split in self.splits for path in pair(folder, STEMS[split])]

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read a split, the same for every fold."""
        stems = {one: STEMS[one] for one in self.splits}
        return read_examples(self.name, root / self.folder / "raw", stems[split], of=stems.values())

    def downloads(self) -> Sequence[Download]:
        """Return the compressed files of torchvision's dataset, which knows where they lie and what they hash to."""
        import torchvision

        kind = getattr(torchvision.datasets, self.folder)
        return [
            Download(
                f"{self.folder}/raw/{file}",
                tuple(f"{mirror}{file}" for mirror in kind.mirrors),
                md5=md5,
            )
            for file, md5 in kind.resources
        ]


def read_examples(dataset: str, folder: Path, stem: str, *, of: Iterable[str]) -> Examples:
    """Read the images (N, 1, 28, 28) and labels (N,) of one ``stem``, each file plain or .gz.

    Where a file is missing, the error names every missing file of all the stems ``of`` the dataset.
    """
    files = {one: pair(folder, one) for one in of}
    if any(found(path) is None for path in files[stem]):
        raise MissingData(
            dataset, [path for both in files.values() for path in both if found(path) is None]
        )
    images_path, labels_path = (found(path) or path for path in files[stem])
    images, labels = read_idx(images_path, dimensions=3), read_idx(labels_path, dimensions=1)
    if images.shape[1:] != SIZE:
        raise damaged(
            images_path, f"images of {spelled(images.shape[1:])} pixels, expected {spelled(SIZE)}"
        )
    if len(images) != len(labels):
        raise damaged(
            labels_path, f"{len(labels)} labels for the {len(images)} images in {images_path.name}"
        )
    if labels.max() >= CLASSES:
        raise damaged(labels_path, f"label {labels.max()} lies outside 0..{CLASSES - 1}")
    return Examples(images[:, None], labels.astype(np.int64))


def pair(folder: Path, stem: str) -> tuple[Path, Path]:
    """Return where the images and the labels of a stem belong."""
    return folder / f"{stem}-images-idx3-ubyte", folder / f"{stem}-labels-idx1-ubyte"


def found(path: Path) -> Path | None:
    """Return where the file is, plain or .gz, or None."""
    return next((one for one in (path, path.with_name(f"{path.name}.gz")) if one.is_file()), None)


def read_idx(path: Path, *, dimensions: int) -> np.ndarray:
    """Return the array of unsigned bytes in an idx file, whose header must agree with its length."""
    content = read_bytes(path)
    header = 4 + 4 * dimensions
    magic = bytes(content[:4])
    if len(magic) == 4 and magic[:3] != UNSIGNED_BYTES:
        wanted = UNSIGNED_BYTES + bytes((dimensions,))
        raise damaged(path, f"wrong magic number 0x{magic.hex()}, expected 0x{wanted.hex()}")
    if len(magic) == 4 and magic[3] != dimensions:
        raise damaged(
            path, f"holds {KINDS.get(magic[3], 'something else')} where {KINDS[dimensions]} belong"
        )
    if len(content) < header:
        raise damaged(path, f"truncated in its header, {len(content)} bytes")
    counts = tuple(int(count) for count in np.frombuffer(content, ">u4", dimensions, offset=4))
    expected = header + math.prod(counts)
    if len(content) != expected:
        state = "truncated" if len(content) < expected else "too long"
        raise damaged(path, f"{state}, {len(content)} bytes where its header says {expected}")
    if counts[0] == 0:
        raise damaged(path, "empty")
    return np.frombuffer(content, np.uint8, offset=header).reshape(counts)


def read_bytes(path: Path) -> bytearray:
    """Return the content of a file, decompressed; a bytearray, so that arrays on it can be written to."""
    try:
        content = path.read_bytes()
        return bytearray(gunzip(content) if path.suffix == ".gz" else content)
    except Bomb as error:
        raise damaged(path, str(error)) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise damaged(path, f"corrupt gzip, {error}") from error
    except OSError as error:
        raise damaged(path, f"cannot be read, {error.strerror}") from error


def damaged(path: Path, what: str) -> UsageError:
    """Return the error for a file that is there but of no use."""
    return UsageError(f"{path}: {what}")


def spelled(counts: Iterable[int]) -> str:
    """Spell a shape: 28x28."""
    return "x".join(map(str, counts))
