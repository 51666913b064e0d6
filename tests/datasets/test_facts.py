"""The datasets are what they are known to be."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench_uq.api import Dataset, Examples
from bench_uq.datasets.digits import Digits
from bench_uq.datasets.letters import Letters
from bench_uq.datasets.mnist import Mnist
from bench_uq.datasets.notmnist import NotMnist

Load = Callable[..., Examples]


def sixteenths(inputs: np.ndarray) -> np.ndarray:
    """Return the grey levels 0..16 of inputs (N, 1, 8, 8), which must be exact."""
    levels = inputs * 16
    assert np.array_equal(levels, levels.round())
    return levels.astype(np.uint8)


@pytest.fixture(scope="module")
def letters() -> Examples:
    """Return all letters."""
    return Letters().load("test", Path())


@pytest.fixture(scope="module")
def digits() -> dict[str, Examples]:
    """Return the splits of the digits."""
    return {split: Digits().load(split, Path()) for split in Digits.splits}


def test_digits_sizes_and_shares(digits: dict[str, Examples]) -> None:
    """Of 1,797 digits 360 are for testing, and each class by its share to within one example."""
    train, test = digits["train"], digits["test"]
    counts = np.bincount(test.targets, minlength=10)
    shares = counts + np.bincount(train.targets, minlength=10)

    assert (len(train), len(test)) == (1437, 360)
    assert shares.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.abs(counts - shares * 360 / 1797).max() < 1


def test_digits_split_never_moves(digits: dict[str, Examples]) -> None:
    """The test split is the same to the last pixel for every version of the packages: baselines
    depend on it.
    """
    test = digits["test"]
    content = sixteenths(test.inputs).tobytes() + test.targets.astype("<i8").tobytes()

    assert hashlib.md5(content).hexdigest() == "2aefadba76fe951410e648f40aa16c97"


def test_digits_are_those_of_scikit_learn(digits: dict[str, Examples]) -> None:
    """Both splits together are scikit-learn's digits over 16, each image with its own label."""
    from sklearn.datasets import load_digits

    data = load_digits()
    expected = sorted(
        (row.astype(np.uint8).tobytes(), label)
        for row, label in zip(data.data, data.target, strict=True)
    )
    rows = []
    for split in digits.values():
        images = sixteenths(split.inputs)
        rows += [(row.tobytes(), one) for row, one in zip(images, split.targets, strict=True)]

    assert expected == sorted(rows)


@pytest.mark.parametrize("dataset", [Digits(), Mnist()])
def test_mean_and_std_of_the_training_split(
    dataset: Dataset, load: Load, data_folder: Path
) -> None:
    """The task's mean and std are those of the training split, to four digits."""
    inputs, task = load(dataset, "train").inputs, dataset.task(data_folder)
    scale = 255 if inputs.dtype == np.uint8 else 1

    assert (round(inputs.mean(dtype=np.float64) / scale, 4),) == task.mean
    assert (round(inputs.std(dtype=np.float64) / scale, 4),) == task.std


@pytest.mark.parametrize(("unseen", "known"), [(Letters(), Digits()), (NotMnist(), Mnist())])
def test_unseen_data_have_the_task_of_the_known(unseen: Dataset, known: Dataset) -> None:
    """Unseen data can be shown to a network trained on the data that they are meant for."""
    assert unseen.task(Path()) == known.task(Path())


def test_letters_are_a_hundred_a_class(letters: Examples) -> None:
    """There are 1,000 letters, 100 a class, all different."""
    assert np.bincount(letters.targets).tolist() == [100] * 10
    assert len({row.tobytes() for row in letters.inputs}) == 1000


def test_letters_never_change(letters: Examples) -> None:
    """The letters are the same to the last pixel for every version of the packages: baselines
    depend on it.
    """
    content = sixteenths(letters.inputs).tobytes() + letters.targets.astype("<i8").tobytes()

    assert hashlib.md5(content).hexdigest() == "c45c8b9714a79775a6fab2c684b85bf9"


def test_letters_have_the_ink_of_digits(letters: Examples, digits: dict[str, Examples]) -> None:
    """Letters and digits cannot be told apart by their ink, their grey levels or how they fill the
    frame.
    """
    ink, digit_ink = (inputs.mean((1, 2, 3)) for inputs in (letters.inputs, digits["train"].inputs))
    peak, digit_peak = (
        inputs.max((1, 2, 3)).mean() for inputs in (letters.inputs, digits["train"].inputs)
    )

    assert set(np.unique(sixteenths(letters.inputs))) == set(range(17))
    assert abs(ink.mean() - digit_ink.mean()) < 0.01
    assert abs(ink.std() - digit_ink.std()) < 0.01
    assert abs(peak - digit_peak) < 0.02
    assert (letters.inputs.sum((1, 3)) > 0).all()  # every row of 8 has ink, as in every digit


def test_letters_are_letters(letters: Examples) -> None:
    """The nearest letter of ten typefaces names the letters of ten others: 9 of 10 at least, where
    chance is 1.
    """
    from sklearn.neighbors import KNeighborsClassifier

    pixels = letters.inputs.reshape(20, -1, 64)  # by typeface
    labels = letters.targets.reshape(20, -1)
    nearest = KNeighborsClassifier(1).fit(pixels[::2].reshape(-1, 64), labels[::2].ravel())

    assert nearest.score(pixels[1::2].reshape(-1, 64), labels[1::2].ravel()) > 0.9


def test_letters_are_not_digits(letters: Examples, digits: dict[str, Examples]) -> None:
    """Letters look like other letters, not like digits: nearest of the other typefaces, 9 of 10 are
    letters.
    """
    from sklearn.neighbors import KNeighborsClassifier

    pixels = letters.inputs.reshape(20, -1, 64)
    train = digits["train"].inputs.reshape(-1, 64)
    known = np.concatenate([train, pixels[::2].reshape(-1, 64)])
    is_letter = np.arange(len(known)) >= len(train)
    nearest = KNeighborsClassifier(1).fit(known, is_letter)

    assert nearest.predict(pixels[1::2].reshape(-1, 64)).mean() > 0.9
    assert nearest.predict(digits["test"].inputs.reshape(-1, 64)).mean() < 0.1


def test_mnist_is_the_original(load: Load) -> None:
    """MNIST has 60,000 and 10,000 digits; the training images are the original ones to the last
    byte.
    """
    train, test = load(Mnist(), "train"), load(Mnist(), "test")
    header = b"".join(number.to_bytes(4, "big") for number in (0x803, 60_000, 28, 28))

    assert (len(train), len(test)) == (60_000, 10_000)
    assert (
        hashlib.md5(header + train.inputs.tobytes()).hexdigest()
        == "6bbc9ace898e44ae57da46a324031adb"
    )
    assert train.targets[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.targets[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


def test_notmnist_is_a_thousand_a_class(load: Load) -> None:
    """notMNIST has 10,000 letters, 1,000 a class."""
    assert np.bincount(load(NotMnist(), "test").targets).tolist() == [1000] * 10


def test_notmnist_is_what_is_fetched(load: Load, data_folder: Path) -> None:
    """The files of notMNIST hold what fetched ones are checked against."""
    load(NotMnist(), "test")
    for file, download in zip(NotMnist().files(data_folder), NotMnist().downloads(), strict=True):
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        assert file.name.removesuffix(".gz") == Path(download.path).stem
        assert hashlib.sha256(content).hexdigest() == download.sha256
