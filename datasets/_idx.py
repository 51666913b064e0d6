"""Read images and labels from idx files, the format of MNIST; whatever does not add up is an error in one line."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from bench_uq.api import Download, Examples, MissingData, UsageError

SIZE = (28, 28)
CLASSES = 10
UNSIGNED_BYTES = bytes((0, 0, 8))  # how an idx file of them begins; the number of dimensions follows
KINDS = {1: "labels", 3: "images"}  # by that number


def read_examples(dataset: str, folder: Path, stem: str, *, of: Iterable[str]) -> Examples:
    """Read the images (N, 1, 28, 28) and labels (N,) of one ``stem``, each file plain or .gz.

    Where a file is missing, the error names every missing file of all the stems ``of`` the dataset.
    """
    files = {one: pair(folder, one) for one in of}
    if any(found(path) is None for path in files[stem]):
        raise MissingData(dataset, [path for both in files.values() for path in both if found(path) is None])
    images_path, labels_path = (found(path) or path for path in files[stem])
    images, labels = read_idx(images_path, dimensions=3), read_idx(labels_path, dimensions=1)
    if images.shape[1:] != SIZE:
        raise damaged(images_path, f"images of {spelled(images.shape[1:])} pixels, expected {spelled(SIZE)}")
    if len(images) != len(labels):
        raise damaged(labels_path, f"{len(labels)} labels for the {len(images)} images in {images_path.name}")
    if labels.max() >= CLASSES:
        raise damaged(labels_path, f"label {labels.max()} lies outside 0..{CLASSES - 1}")
    return Examples(images[:, None], labels.astype(np.int64))


def pair(folder: Path, stem: str) -> tuple[Path, Path]:
    """Return where the images and the labels of a stem belong."""
    return folder / f"{stem}-images-idx3-ubyte", folder / f"{stem}-labels-idx1-ubyte"


def idx_files(folder: Path, stems: Iterable[str]) -> list[Path]:
    """Return the files of these stems, each plain or .gz, or where it belongs."""
    return [found(path) or path for stem in stems for path in pair(folder, stem)]


def idx_downloads(name: str) -> list[Download]:
    """Return what to fetch of a dataset of torchvision's, which knows where it lies and what it hashes to."""
    import torchvision

    kind = getattr(torchvision.datasets, name)
    return [
        Download(f"{name}/raw/{file}", tuple(f"{mirror}{file}" for mirror in kind.mirrors), md5=md5)
        for file, md5 in kind.resources
    ]


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
        raise damaged(path, f"holds {KINDS.get(magic[3], 'something else')} where {KINDS[dimensions]} belong")
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
        return bytearray(gzip.decompress(content) if path.suffix == ".gz" else content)
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
