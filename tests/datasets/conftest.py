"""What the tests of datasets share: real data, and small data that are written in the formats of
the originals.
"""

from __future__ import annotations

import hashlib
import pickle
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from bench_uq.api import Dataset, Examples, MissingData

COUNT = 40  # examples of a split that is written


@pytest.fixture
def load(data_folder: Path, absent: Callable[[str], NoReturn]) -> Callable[..., Examples]:
    """Return ``Dataset.load``, on real data where no root is given, which skips the test where they
    are missing.
    """

    def load_split(
        dataset: Dataset, split: str, fold: int = 0, root: Path = data_folder
    ) -> Examples:
        try:
            return dataset.load(split, root, fold)
        except MissingData as missing:
            absent(str(missing))

    return load_split


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a root with small data in the formats of the originals, which torchvision takes for
    them.
    """
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name in ("FashionMNIST", "KMNIST"):
        write_idx(root / name / "raw", rng)
    write_images(root / "images", rng)
    write_corrupted(root, rng)

    arrays = {
        f"x_{split}": rng.integers(0, 256, (COUNT, 3, 9, 8), np.uint8)
        for split in ("train", "test")
    }
    np.savez(
        root / "arrays.npz", y_train=np.arange(COUNT) % 3, y_test=np.arange(COUNT) % 3, **arrays
    )

    with pytest.MonkeyPatch.context() as patch:
        write_cifar(root, rng, patch)
        write_svhn(root / "SVHN", rng, patch)
        yield root


def write_idx(folder: Path, rng: np.random.Generator) -> None:
    """Write images and labels as MNIST's."""
    folder.mkdir(parents=True)
    for stem in ("train", "t10k"):
        images = rng.integers(0, 256, (COUNT, 28, 28), np.uint8)
        header = struct.pack(">HBB3I", 0, 8, 3, *images.shape)
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        labels = bytes(label % 10 for label in range(COUNT))
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(
            struct.pack(">HBBI", 0, 8, 1, COUNT) + labels
        )


def write_images(folder: Path, rng: np.random.Generator) -> None:
    """Write images of two classes as torchvision's ImageFolder reads them."""
    from PIL import Image

    for split in ("train", "test"):
        for index in range(COUNT):
            path = folder / split / ("cat", "dog")[index % 2] / f"{index:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 9, 3), np.uint8)).save(path)


def write_corrupted(root: Path, rng: np.random.Generator) -> None:
    """Write one corruption of MNIST-C, and one of CIFAR-10-C at its five severities."""
    for folder, names, shape in (
        (root / "mnist_c" / "fog", ("test_images", "test_labels"), (COUNT, 28, 28, 1)),
        (root / "CIFAR-10-C", ("fog", "labels"), (5 * COUNT, 32, 32, 3)),
    ):
        folder.mkdir(parents=True)
        np.save(folder / f"{names[0]}.npy", rng.integers(0, 256, shape, np.uint8))
        np.save(folder / f"{names[1]}.npy", np.arange(shape[0]) % COUNT % 10)


def write_cifar(root: Path, rng: np.random.Generator, patch: pytest.MonkeyPatch) -> None:
    """Write the pickled batches of CIFAR-10 and CIFAR-100."""
    from torchvision.datasets import CIFAR10, CIFAR100

    for cls, key, classes in ((CIFAR10, "labels", 10), (CIFAR100, "fine_labels", 100)):
        folder = root / cls.base_folder
        folder.mkdir(exist_ok=True)
        listed = {}
        for name, _ in (*cls.train_list, *cls.test_list):
            labels = [(index * 7) % classes for index in range(COUNT)]
            batch = {"data": rng.integers(0, 256, (COUNT, 3072), np.uint8), key: labels}
            listed[name] = write_pickle(folder / name, batch)
        meta = write_pickle(
            folder / cls.meta["filename"], {cls.meta["key"]: [f"class {n}" for n in range(classes)]}
        )
        patch.setattr(cls, "train_list", [[name, listed[name]] for name, _ in cls.train_list])
        patch.setattr(cls, "test_list", [[name, listed[name]] for name, _ in cls.test_list])
        patch.setattr(cls, "meta", {**cls.meta, "md5": meta})


def write_pickle(path: Path, value: object) -> str:
    """Write a pickle as Python 2 would, and return its md5."""
    path.write_bytes(pickle.dumps(value, protocol=2))
    return md5(path)


def write_svhn(folder: Path, rng: np.random.Generator, patch: pytest.MonkeyPatch) -> None:
    """Write the digits of house numbers as Matlab does, the digit 0 as label 10."""
    from scipy.io import savemat
    from torchvision.datasets import SVHN

    folder.mkdir()
    listed = dict(SVHN.split_list)
    for split in ("train", "test"):
        url, name, _ = SVHN.split_list[split]
        labels = (np.arange(COUNT, dtype=np.uint8) % 10 + 1)[:, None]
        savemat(
            folder / name, {"X": rng.integers(0, 256, (32, 32, 3, COUNT), np.uint8), "y": labels}
        )
        listed[split] = [url, name, md5(folder / name)]
    patch.setattr(SVHN, "split_list", listed)


def md5(path: Path) -> str:
    """Return the md5 of a file."""
    return hashlib.md5(path.read_bytes()).hexdigest()
