"""Whatever is wrong with idx files is told in one line that names the file."""

from __future__ import annotations

import gzip
import pickle
import struct
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
FILES = [
    f"{stem}-{kind}-ubyte" for stem in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
]


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


def test_plain_files(raw: Path) -> None:
    """What was written is what is read, with a channel and labels as int64."""
    examples = load(raw)

    assert np.array_equal(IMAGES[:, None], examples.inputs)
    assert np.array_equal(LABELS, examples.targets)
    assert examples.targets.dtype == np.int64


@pytest.mark.parametrize("zipped", [FILES, FILES[:3], FILES[3:]])
def test_gzipped_files(raw: Path, zipped: list[str]) -> None:
    """Each file may be compressed, whatever the others are, and gives the same examples."""
    for name in zipped:
        (raw / f"{name}.gz").write_bytes(gzip.compress((raw / name).read_bytes()))
        (raw / name).unlink()

    for split in ("train", "test"):
        assert np.array_equal(IMAGES[:, None], load(raw, split).inputs)
        assert np.array_equal(LABELS, load(raw, split).targets)


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
    """Without any file, the error names the dataset, every file expected and how to say where they are."""
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
    """Fashion-MNIST and KMNIST are read as MNIST is, each from its own folder; a damaged file is named."""
    raw.parent.rename(raw.parents[1] / folder)
    file = raw.parents[1] / folder / "raw" / FILES[2]

    assert np.array_equal(IMAGES[:, None], dataset.load("test", raw.parents[1]).inputs)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UsageError, match="truncated") as caught:
        dataset.load("test", raw.parents[1])
    assert str(caught.value).startswith(f"{file}: ")


def test_what_is_fetched_is_what_is_read() -> None:
    """The files to fetch are those that are read, compressed, from torchvision's addresses; none is left out."""
    for dataset, folder in (
        (Mnist(), "MNIST"),
        (FashionMnist(), "FashionMNIST"),
        (KMnist(), "KMNIST"),
    ):
        downloads = dataset.downloads()
        assert sorted(one.path for one in downloads) == sorted(
            f"{folder}/raw/{name}.gz" for name in FILES
        )
        assert all(
            url.endswith(one.path.rpartition("/")[2]) for one in downloads for url in one.urls
        )
    assert [one.path for one in NotMnist().downloads()] == [
        f"notMNIST/raw/{name}.gz" for name in FILES[2:]
    ]


def test_a_single_missing_file(raw: Path) -> None:
    """One missing file is the only one named, and does no harm to the other split."""
    (raw / FILES[3]).unlink()

    with pytest.raises(MissingData) as caught:
        load(raw)
    assert [name for name in FILES if name in str(caught.value)] == [FILES[3]]
    assert len(load(raw, "train")) == 20


@pytest.mark.parametrize("file", FILES[2:])
@pytest.mark.parametrize("kept", [0, 3, 4, 7, -1])
def test_truncated(raw: Path, file: str, kept: int) -> None:
    """A file cut anywhere, in the header or at its last byte, is truncated."""
    (raw / file).write_bytes((raw / file).read_bytes()[:kept])

    assert refused(raw, file).startswith("truncated")


@pytest.mark.parametrize("file", FILES[2:])
def test_too_long(raw: Path, file: str) -> None:
    """A file with a byte more than its header says is refused."""
    size = (raw / file).stat().st_size
    (raw / file).write_bytes((raw / file).read_bytes() + b"\0")

    assert f"too long, {size + 1} bytes where its header says {size}" == refused(raw, file)


@pytest.mark.parametrize(
    "content", [b"<!DOCTYPE html><html>404</html>", pickle.dumps(LABELS), idx(LABELS, dtype=0x0D)]
)
def test_wrong_magic(raw: Path, content: bytes) -> None:
    """A web page, a pickle or an idx file of floats is known by its first bytes."""
    (raw / FILES[3]).write_bytes(content)

    assert f"wrong magic number 0x{content[:4].hex()}, expected 0x00000801" == refused(
        raw, FILES[3]
    )


def test_swapped(raw: Path) -> None:
    """Images under the name of labels, and labels under that of images, are told as such."""
    (raw / FILES[2]).write_bytes(idx(LABELS))
    assert refused(raw, FILES[2]) == "holds labels where images belong"

    (raw / FILES[2]).write_bytes(idx(IMAGES))
    (raw / FILES[3]).write_bytes(idx(IMAGES))
    assert refused(raw, FILES[3]) == "holds images where labels belong"


def test_other_dimensions(raw: Path) -> None:
    """An idx file of neither images nor labels is told as such."""
    (raw / FILES[2]).write_bytes(idx(IMAGES[:, None]))

    assert refused(raw, FILES[2]) == "holds something else where images belong"


def test_other_image_size(raw: Path) -> None:
    """Images of another size are refused with both sizes."""
    (raw / FILES[2]).write_bytes(idx(IMAGES[:, :14]))

    assert refused(raw, FILES[2]) == "images of 14x28 pixels, expected 28x28"


def test_unequal_counts(raw: Path) -> None:
    """Labels of another split, fewer or more than the images, are refused with both counts."""
    (raw / FILES[3]).write_bytes(idx(LABELS[:19]))

    assert refused(raw, FILES[3]) == f"19 labels for the 20 images in {FILES[2]}"


def test_label_out_of_range(raw: Path) -> None:
    """A label that is none of the ten classes is refused."""
    (raw / FILES[3]).write_bytes(idx(np.where(LABELS == 3, 10, LABELS).astype(np.uint8)))

    assert refused(raw, FILES[3]) == "label 10 lies outside 0..9"


def test_empty(raw: Path) -> None:
    """Files without a single example are refused."""
    (raw / FILES[2]).write_bytes(idx(IMAGES[:0]))

    assert refused(raw, FILES[2]) == "empty"


def test_absurd_header(raw: Path) -> None:
    """A header that promises more than any memory holds costs none: it disagrees with the length."""
    (raw / FILES[2]).write_bytes(struct.pack(">HBB3I", 0, 8, 3, *[2**32 - 1] * 3))

    assert refused(raw, FILES[2]).startswith("truncated, 16 bytes where its header says ")


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


def test_folder_in_place_of_a_file(raw: Path) -> None:
    """A folder of a file's name is no file: it is missing."""
    (raw / FILES[2]).unlink()
    (raw / FILES[2]).mkdir()

    with pytest.raises(MissingData):
        load(raw)
