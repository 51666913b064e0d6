"""Whatever is wrong with idx files is told in one line that names the file."""

from __future__ import annotations

import gzip
import pickle
import struct
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from bench_uq.api import Dataset, Examples, MissingData, UsageError
from bench_uq.datasets.fashion_mnist import FashionMnist
from bench_uq.datasets.kmnist import KMnist
from bench_uq.datasets.mnist import Mnist
from bench_uq.datasets.notmnist import NotMnist

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
LABELS = np.arange(20, dtype=np.uint8) % 10
KINDS = ("images-idx3", "labels-idx1")
FILES = [f"{stem}-{kind}-ubyte" for stem, kind in product(("train", "t10k"), KINDS)]


def idx(array: np.ndarray, *, dtype: int = 0x08) -> bytes:
    """Return an array as an idx file, written independently of the reader."""
    return struct.pack(f">HBB{array.ndim}I", 0, dtype, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Return a folder with a small MNIST."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes(idx(IMAGES if "images" in name else LABELS))
    return folder


def load(raw: Path, split: str = "test") -> Examples:
    """Load MNIST from such a folder."""
    return Mnist().load(split, raw.parents[1])


def refused(raw: Path, file: str) -> str:
    """Return the reason for which loading is refused: one line that begins with the file."""
    with pytest.raises(UsageError) as caught:
        load(raw)
    message = str(caught.value)
    assert not isinstance(caught.value, MissingData)
    assert "\n" not in message
    assert message.startswith(f"{raw / file}: ")
    return message.removeprefix(f"{raw / file}: ")


@pytest.mark.parametrize("zipped", [[], FILES, FILES[:3], FILES[3:]])
def test_plain_and_gzipped_files(raw: Path, zipped: list[str]) -> None:
    """What was written is read, with a channel and labels as int64; each file may be compressed."""
    for name in zipped:
        (raw / f"{name}.gz").write_bytes(gzip.compress((raw / name).read_bytes()))
        (raw / name).unlink()

    for split in ("train", "test"):
        examples = load(raw, split)
        assert np.array_equal(IMAGES[:, None], examples.inputs)
        assert np.array_equal(LABELS, examples.targets)
        assert examples.targets.dtype == np.int64


@pytest.mark.parametrize(
    ("dataset", "name", "folder", "files"),
    [
        (Mnist(), "mnist", "MNIST", FILES),
        (FashionMnist(), "fashion-mnist", "FashionMNIST", FILES),
        (KMnist(), "kmnist", "KMNIST", FILES),
        (NotMnist(), "notmnist", "notMNIST", FILES[2:]),
    ],
)
def test_missing_files_are_all_named(
    tmp_path: Path, dataset: Dataset, name: str, folder: str, files: list[str]
) -> None:
    """Without any file, the error names the dataset, every file expected and how to say where they
    are.
    """
    with pytest.raises(MissingData) as caught:
        dataset.load("test", tmp_path)

    message = str(caught.value)
    assert message.startswith(f"{name}: missing ")
    assert [file for file in FILES if str(tmp_path / folder / "raw" / file) in message] == files
    assert "BENCH_UQ_DATA" in message


@pytest.mark.parametrize(
    ("dataset", "folder"), [(FashionMnist(), "FashionMNIST"), (KMnist(), "KMNIST")]
)
def test_others_of_the_format(raw: Path, dataset: Dataset, folder: str) -> None:
    """Fashion-MNIST and KMNIST are read as MNIST is, each from its own folder; a damaged file is
    named.
    """
    raw.parent.rename(raw.parents[1] / folder)
    file = raw.parents[1] / folder / "raw" / FILES[2]

    assert np.array_equal(IMAGES[:, None], dataset.load("test", raw.parents[1]).inputs)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UsageError, match="truncated") as caught:
        dataset.load("test", raw.parents[1])
    assert str(caught.value).startswith(f"{file}: ")


def test_what_is_fetched_is_what_is_read() -> None:
    """The files to fetch are those that are read, compressed, from torchvision's addresses; none is
    left out.
    """
    for dataset, folder, files in (
        (Mnist(), "MNIST", FILES),
        (FashionMnist(), "FashionMNIST", FILES),
        (KMnist(), "KMNIST", FILES),
        (NotMnist(), "notMNIST", FILES[2:]),
    ):
        downloads = dataset.downloads()
        expected = sorted(f"{folder}/raw/{name}.gz" for name in files)
        assert sorted(one.path for one in downloads) == expected
        for one in downloads:
            assert all(url.endswith(one.path.rpartition("/")[2]) for url in one.urls)


def test_a_single_missing_file(raw: Path) -> None:
    """One missing file is the only one named, and does no harm to the other split; a folder is no
    file.
    """
    (raw / FILES[3]).unlink()
    for _ in range(2):
        with pytest.raises(MissingData) as caught:
            load(raw)
        assert [name for name in FILES if name in str(caught.value)] == [FILES[3]]
        assert len(load(raw, "train")) == 20
        (raw / FILES[3]).mkdir(exist_ok=True)


@pytest.mark.parametrize("file", FILES[2:])
def test_truncated_or_too_long(raw: Path, file: str) -> None:
    """A file cut anywhere, in the header or at its last byte, is truncated; a byte more is refused."""
    whole = (raw / file).read_bytes()
    for kept in (0, 3, 4, 7, -1):
        (raw / file).write_bytes(whole[:kept])
        assert refused(raw, file).startswith("truncated")

    (raw / file).write_bytes(whole + b"\0")
    size = len(whole)
    assert f"too long, {size + 1} bytes where its header says {size}" == refused(raw, file)


HTML = b"<!DOCTYPE html><html>404</html>"
PICKLE = pickle.dumps(LABELS)
#: A file of images or labels, what is in it, and the beginning of the reason.
WRONG = [
    (FILES[3], HTML, "wrong magic number 0x3c21444f, expected 0x00000801"),
    (FILES[3], PICKLE, f"wrong magic number 0x{PICKLE[:4].hex()}, expected 0x00000801"),
    (FILES[3], idx(LABELS, dtype=0x0D), "wrong magic number 0x00000d01, expected 0x00000801"),
    (FILES[2], idx(LABELS), "holds labels where images belong"),
    (FILES[3], idx(IMAGES), "holds images where labels belong"),
    (FILES[2], idx(IMAGES[:, None]), "holds something else where images belong"),
    (FILES[2], idx(IMAGES[:, :14]), "images of 14x28 pixels, expected 28x28"),
    (FILES[3], idx(LABELS[:19]), f"19 labels for the 20 images in {FILES[2]}"),
    (FILES[3], idx(LABELS + (LABELS == 3) * np.uint8(7)), "label 10 lies outside 0..9"),
    (FILES[2], idx(IMAGES[:0]), "empty"),
    # A header that promises more than any memory holds costs none.
    (
        FILES[2],
        struct.pack(">HBB3I", 0, 8, 3, *[2**32 - 1] * 3),
        "truncated, 16 bytes where its header says ",
    ),
]


@pytest.mark.parametrize(("file", "content", "reason"), WRONG, ids=range(len(WRONG)))
def test_wrong_content(raw: Path, file: str, content: bytes, reason: str) -> None:
    """Pages, pickles, and images, labels or sizes in the wrong place are told as such."""
    (raw / file).write_bytes(content)

    assert refused(raw, file).startswith(reason)


def damages() -> dict[str, bytes]:
    """Return a compressed file of labels, damaged in each way that gzip tells apart."""
    whole = gzip.compress(idx(LABELS))
    return {
        "cut": whole[:-9],
        "checksum": whole[:-8] + bytes(4) + whole[-4:],
        "body": whole[:12] + b"\xff" * 8 + whole[20:],
        "header": b"\0" + whole[1:],
        "tail": whole + b"something",
        "not compressed": idx(LABELS),
    }


@pytest.mark.parametrize("damage", damages())
def test_corrupt_gzip(raw: Path, damage: str) -> None:
    """A compressed file that is damaged anywhere is told to be a corrupt gzip."""
    (raw / FILES[3]).unlink()
    (raw / f"{FILES[3]}.gz").write_bytes(damages()[damage])

    assert refused(raw, f"{FILES[3]}.gz").startswith("corrupt gzip")


def test_unreadable(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that the system does not let us read is named with the system's reason."""

    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", denied)

    assert refused(raw, FILES[2]) == "cannot be read, Permission denied"
