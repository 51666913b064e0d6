"""CIFAR and SVHN are read from their originals alone, and CIFAR-10's JPEG copies are labelled as
the originals are.
"""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import CIFAR10, SVHN

from bench_uq.api import Dataset, Examples, MissingData, UsageError
from bench_uq.datasets._cifar import CLASSES
from bench_uq.datasets.cifar5 import Cifar5
from bench_uq.datasets.cifar5_hidden import Cifar5Hidden
from bench_uq.datasets.cifar10 import Cifar10
from bench_uq.datasets.cifar100 import Cifar100
from bench_uq.datasets.svhn import Svhn
from bench_uq.plan.plugins import Plugins

Load = Callable[..., Examples]

#: A dataset, and one of the files that it reads.
FILES = [
    (Cifar10(), "cifar-10-batches-py/data_batch_3"),
    (Cifar5(), "cifar-10-batches-py/test_batch"),
    (Cifar5Hidden(), "cifar-10-batches-py/batches.meta"),
    (Cifar100(), "cifar-100-python/test"),
    (Svhn(), "SVHN/test_32x32.mat"),
]
each_file = pytest.mark.parametrize(("dataset", "file"), FILES)


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """Return a folder with small data for a test to damage."""
    return Path(shutil.copytree(written, tmp_path / "data"))


def refused(dataset: Dataset, root: Path) -> str:
    """Return the one line for which loading is refused."""
    with pytest.raises(UsageError) as caught:
        dataset.load("test", root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def batches(root: Path, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, 3, 32, 32) and labels of CIFAR-10's batches as its authors describe them."""
    read = [
        pickle.loads((root / "cifar-10-batches-py" / name).read_bytes(), encoding="latin1")
        for name in names
    ]
    data = np.concatenate([batch["data"] for batch in read])
    return data.reshape(-1, 3, 32, 32), np.concatenate([batch["labels"] for batch in read])


def test_cifar10_is_what_is_in_its_batches(written: Path) -> None:
    """The five training batches in their order, and the test batch, rows of red, green and blue
    planes.
    """
    for split, names in (
        ("train", [f"data_batch_{n}" for n in range(1, 6)]),
        ("test", ["test_batch"]),
    ):
        images, labels = batches(written, names)
        examples = Cifar10().load(split, written)

        assert np.array_equal(images, examples.inputs)
        assert np.array_equal(labels, examples.targets)


def test_five_classes_and_the_other_five(written: Path) -> None:
    """cifar5 and cifar5-hidden part the test images of CIFAR-10; the hidden labels begin at 0
    again.
    """
    images, labels = batches(written, ["test_batch"])
    seen, hidden = Cifar5().load("test", written), Cifar5Hidden().load("test", written)

    assert np.array_equal(images[labels < 5], seen.inputs)
    assert np.array_equal(labels[labels < 5], seen.targets)
    assert np.array_equal(images[labels >= 5], hidden.inputs)
    assert np.array_equal(labels[labels >= 5] - 5, hidden.targets)


def test_hidden_classes_have_the_task_of_the_seen() -> None:
    """What is shown as unseen is of the shape that the network was trained on."""
    assert Cifar5Hidden().task(Path()) == Cifar5().task(Path())


def test_svhn_is_what_is_in_its_files(written: Path) -> None:
    """Images come last axis first, and label 10 is the digit 0."""
    from scipy.io import loadmat

    stored = loadmat(written / "SVHN" / "test_32x32.mat")
    examples = Svhn().load("test", written)

    assert np.array_equal(stored["X"][:, :, :, 7].transpose(2, 0, 1), examples.inputs[7])
    assert np.array_equal(stored["y"].ravel() % 10, examples.targets)


def test_one_split_of_svhn_is_enough(root: Path) -> None:
    """As unseen data SVHN needs its test file alone."""
    (root / "SVHN" / "train_32x32.mat").unlink()

    assert len(Svhn().load("test", root)) == 40
    with pytest.raises(MissingData, match="train_32x32"):
        Svhn().load("train", root)


@each_file
def test_missing_file(dataset: Dataset, file: str, root: Path) -> None:
    """A missing file is the only one named."""
    (root / file).unlink()

    message = refused(dataset, root)
    assert f"missing {root / file} (" in message


@each_file
def test_damaged_file(dataset: Dataset, file: str, root: Path) -> None:
    """A file that is not the original to the last byte is named."""
    content = (root / file).read_bytes()
    for damaged in (content[:-1], content + b"\0", b"", content[::-1]):
        (root / file).write_bytes(damaged)
        reason = "damaged (its md5 is not that of the original)"
        assert f"{root / file}: {reason}" == refused(dataset, root)


def test_the_originals_are_known() -> None:
    """Without data of the tests' making, the hashes are torchvision's, which are those of the
    originals.
    """
    assert CIFAR10.tgz_md5 == Cifar10().downloads()[0].md5
    assert Cifar10().downloads()[0].unpack
    assert {one.md5 for one in Svhn().downloads()} == {
        SVHN.split_list[split][2] for split in ("train", "test")
    }
    assert Cifar10(source="jpeg").downloads() == ()


@pytest.mark.parametrize("name", ["cifar10", "cifar5", "cifar5-hidden"])
def test_jpeg_copies_are_named_in_results(name: str) -> None:
    """What was read from copies is never taken for CIFAR-10 itself."""
    assert Plugins().spec("dataset", f"{name}[source=jpeg]").name == f"{name}[source=jpeg]"
    assert Plugins().spec("dataset", name).name == name
    with pytest.raises(UsageError, match="known: jpeg, original"):
        Plugins().spec("dataset", f"{name}[source=png]")


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with two copies a class, the red of which is ten times the place of their
    class.
    """
    from PIL import Image

    monkeypatch.setattr("bench_uq.datasets._cifar.PER_CLASS", {"train": 2, "test": 2})
    for split in ("train", "test"):
        for place, name in enumerate(CLASSES):
            for number in range(2):
                path = tmp_path / "cifar10-jpeg" / split / name / f"{number:04}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (32, 32), (10 * place, 128, 128)).save(path, quality=95)
    return tmp_path


def test_labels_of_copies(copies: Path) -> None:
    """The folders are labelled airplane 0 to truck 9, for five classes 0 to 4."""
    for dataset, first, last in ((Cifar10, 0, 10), (Cifar5, 0, 5), (Cifar5Hidden, 5, 10)):
        examples = dataset(source="jpeg").load("test", copies)
        red = examples.inputs[:, 0].mean((1, 2)) / 10

        assert red.round().astype(int).tolist() == [*range(first, last)] * 2
        assert np.array_equal(red.round() - first, examples.targets)
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    assert " ".join(CLASSES) == names


def test_a_copy_too_few(copies: Path) -> None:
    """A class that lacks an image is refused: its scores would be those of other data."""
    (copies / "cifar10-jpeg" / "test" / "cat" / "0001.jpg").unlink()

    assert (
        refused(Cifar5(source="jpeg"), copies)
        == f"{copies / 'cifar10-jpeg/test/cat'}: 1 images, expected 2"
    )
    assert len(Cifar5Hidden(source="jpeg").load("test", copies)) == 10


def test_a_damaged_copy(copies: Path) -> None:
    """A JPEG that is cut is named."""
    file = copies / "cifar10-jpeg" / "test" / "cat" / "0001.jpg"
    file.write_bytes(file.read_bytes()[:-100])
    message = refused(Cifar10(source="jpeg"), copies)

    assert message.startswith(f"{file}: cannot be read as an image, ")


def test_the_copies_of_cifar10(load: Load) -> None:
    """The real copies are 50,000 and 10,000 photographs, 5,000 and 1,000 a class."""
    for split, count in (("train", 5000), ("test", 1000)):
        examples = load(Cifar10(source="jpeg"), split)

        assert examples.inputs.shape == (10 * count, 3, 32, 32)
        assert np.bincount(examples.targets).tolist() == [count] * 10


def test_ships_and_airplanes_are_blue(load: Load) -> None:
    """The real copies lie in the folders of their classes: sky and sea make the bluest pictures, in
    every split.
    """
    for split in ("train", "test"):
        examples = load(Cifar10(source="jpeg"), split)
        red, _, blue = examples.inputs.mean((2, 3)).T
        blueness = [(blue - red)[examples.targets == label].mean() for label in range(10)]

        assert set(np.argsort(blueness)[-2:]) == {CLASSES.index("airplane"), CLASSES.index("ship")}
