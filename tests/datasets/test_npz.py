"""Arrays of the user's own: what is read, and each mistake told in one line that names the file and
the key.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench_uq.api import Categorical, Examples, MissingData, UsageError
from bench_uq.datasets.npz import Npz

RNG = np.random.default_rng(0)
DATASET = Npz(path=Path("mine.npz"))
IMAGES = RNG.integers(0, 256, (6, 9, 8, 3), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def save(root: Path, **changes: Any) -> Path:
    """Write an npz file; changed arrays are None where left out."""
    arrays = {
        "x_train": IMAGES,
        "y_train": LABELS,
        "x_test": IMAGES[:2],
        "y_test": LABELS[:2],
        **changes,
    }
    file = root / "mine.npz"
    np.savez_compressed(file, **{key: array for key, array in arrays.items() if array is not None})
    return file


def load(root: Path, split: str = "train") -> Examples:
    """Load the file."""
    return DATASET.load(split, root)


def refused(root: Path, split: str = "test") -> str:
    """Return the reason for which a file is refused: one line that begins with the file."""
    with pytest.raises(UsageError) as caught:
        load(root, split)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{root / 'mine.npz'}: ")
    return str(caught.value).removeprefix(f"{root / 'mine.npz'}: ")


def test_a_spread_below_single_precision(tmp_path: Path) -> None:
    """A time in seconds over a minute, which float32 would make one number, is refused."""
    times = np.linspace(1.7e9, 1.7e9 + 60, len(LABELS))
    features = np.stack([np.arange(len(LABELS)) / 7, times], 1)
    save(tmp_path, x_train=features, x_test=features[:2])
    assert refused(tmp_path).startswith("x_train, feature 2: a standard deviation of ")

    features[:, 1] -= 1.7e9
    save(tmp_path, x_train=features, x_test=features[:2])
    np.testing.assert_allclose(load(tmp_path).inputs, features, rtol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        (IMAGES, IMAGES.transpose(0, 3, 1, 2)),
        (IMAGES.transpose(0, 3, 1, 2), IMAGES.transpose(0, 3, 1, 2)),
        (IMAGES[..., 0], IMAGES[:, None, :, :, 0]),
        (IMAGES[..., :1], IMAGES[:, None, :, :, 0]),
        (IMAGES[:, :3], IMAGES[:, :3]),  # both orders fit: (C, H, W)
        (IMAGES[:, :, 0, 0], IMAGES[:, :, 0, 0]),
    ],
)
def test_layouts(tmp_path: Path, inputs: np.ndarray, expected: np.ndarray) -> None:
    """Images may have their channels first, last or none; features have no channels."""
    save(tmp_path, x_train=inputs, x_test=inputs[:2])

    assert np.array_equal(expected, load(tmp_path).inputs)
    assert np.array_equal(expected[:2], load(tmp_path, "test").inputs)
    assert expected.shape[1:] == DATASET.task(tmp_path).input_shape
    assert DATASET.task(tmp_path).likelihood == Categorical(3)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_floats(tmp_path: Path, dtype: str) -> None:
    """Floats of any precision become single floats, in [0, 1] where they are images.

    Features may be any numbers: the engine standardises them.
    """
    floats = (IMAGES / 255).astype(dtype)
    save(tmp_path, x_train=floats, x_test=floats[:2])
    assert load(tmp_path).inputs.dtype == np.float32
    assert np.array_equal(floats.transpose(0, 3, 1, 2).astype(np.float32), load(tmp_path).inputs)

    features = RNG.normal(0, 100, (6, 4)).astype(dtype)
    save(tmp_path, x_train=features, x_test=features[:2])
    assert np.array_equal(features.astype(np.float32), load(tmp_path).inputs)


@pytest.mark.parametrize("labels", [LABELS[:, None], LABELS.astype(np.uint8), LABELS.astype(">i4")])
def test_labels(tmp_path: Path, labels: np.ndarray) -> None:
    """Labels are integers of any kind, in a row or a column."""
    save(tmp_path, y_train=labels)

    assert load(tmp_path).targets.dtype == np.int64
    assert LABELS.tolist() == load(tmp_path).targets.tolist()


def test_test_arrays_alone(tmp_path: Path) -> None:
    """x_test and y_test alone are unseen data, of as many classes as y_test has, that nothing can
    be trained on.
    """
    save(tmp_path, x_train=None, y_train=None)

    assert DATASET.task(tmp_path).likelihood == Categorical(2)
    assert len(load(tmp_path, "test")) == 2
    assert refused(tmp_path, "train").startswith("no x_train and y_train")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """What is remembered of a file is forgotten where it changes."""
    save(tmp_path)
    load(tmp_path)
    save(tmp_path, x_train=IMAGES[:, :, :, 0], x_test=IMAGES[:, :, :, 0], y_test=LABELS)

    assert DATASET.task(tmp_path).input_shape == (1, 9, 8)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"y_test": None}, "lacks y_test (allowed: x_train, y_train, x_test, y_test, or x_test "),
        ({"x_train": None}, "lacks x_train (allowed: "),
        ({"x_test": None, "y_test": None}, "lacks x_test, y_test (allowed: "),
        ({"X_train": IMAGES, "notes": LABELS}, "unknown X_train, notes (allowed: "),
        ({"x_test": np.array([None, 1])}, "x_test is an array of Python objects, which would be "),
        ({"y_train": np.array(["cat"] * 6, object)}, "y_train is an array of Python objects"),
        ({"x_test": IMAGES[:2, 0, 0, 0]}, "x_test has the shape (2,), expected (N,F), (N,H,W), "),
        (
            {"x_test": np.zeros((2, 4, 5, 6), np.uint8)},
            "x_test has the shape (2, 4, 5, 6), expected ",
        ),
        ({"x_test": np.uint8(3)}, "x_test is empty"),
        ({"x_test": IMAGES[:0], "y_test": LABELS[:0]}, "x_test is empty"),
        ({"x_test": np.zeros((2, 0), np.uint8)}, "x_test is empty, (2, 0)"),
        (
            {"x_test": IMAGES[:2].astype(int)},
            "x_test is int64, expected uint8, or float16, float32 or float64",
        ),
        ({"x_test": IMAGES[:2] > 4}, "x_test is bool, expected "),
        ({"x_test": IMAGES[:2] * 1j}, "x_test is complex128, expected "),
        ({"x_test": IMAGES[:2].astype(float)}, "x_test lies in 0 to 25"),
        ({"x_test": IMAGES[:2] / -255}, "x_test lies in -1 to"),
        ({"x_test": np.full((2, 9, 8), np.nan)}, "x_test holds NaN or infinite values"),
        ({"x_test": np.full((2, 9), 1e300)}, "x_test holds NaN or infinite values"),
        ({"x_test": IMAGES[:3]}, "x_test has 3 examples, y_test has 2"),
        (
            {"x_test": IMAGES[:2, :5]},
            "inputs have the shape (3, 9, 8) in x_train, (3, 5, 8) in x_test",
        ),
        ({"y_test": LABELS[:2] / 1}, "y_test is float64, expected integer labels (real targets: "),
        ({"y_test": LABELS[:2] > 0}, "y_test is bool, expected integer labels"),
        ({"y_test": np.array(["cat", "dog"])}, "y_test is <U3, expected integer labels"),
        ({"y_test": np.eye(2, dtype=int)}, "y_test has the shape (2, 2), expected (N,) or (N,1)"),
        ({"y_test": np.int64(3)}, "y_test has the shape (), expected (N,) or (N,1)"),
        ({"y_test": LABELS[:2] - 1}, "y_test has the label -1, expected 0 to C - 1"),
        ({"y_test": LABELS[:2] + 2}, "y_test has the label 3, those of y_train end at 2"),
        (
            {"y_test": np.array([0, 2**64 - 1], np.uint64)},
            "y_test has the label 184467440737095516",
        ),
        ({"y_train": LABELS * 0 + 1}, "y_train has one class only, 1"),
        ({"y_train": LABELS + 4}, "y_train has the label 6 in 6 examples: labels are 0 to C - 1"),
    ],
)
def test_mistakes(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    """Every mistake has a line of its own, with the key."""
    save(tmp_path, **changes)

    assert refused(tmp_path).startswith(reason)


def test_no_npz(tmp_path: Path) -> None:
    """A file that is none, or a single array, is told so."""
    for content in (b"", b"PK\3\4", b"<html>404</html>", pickle.dumps([1]), b"\x93NUMPY\1\0"):
        (tmp_path / "mine.npz").write_bytes(content)
        assert refused(tmp_path) == "not an npz file, or a damaged one"
    with (tmp_path / "mine.npz").open("wb") as file:
        np.save(file, IMAGES)
    assert refused(tmp_path) == "not an npz file but a single array"


def test_damaged_anywhere(tmp_path: Path) -> None:
    """A file cut anywhere is refused; of one with a changed byte what is read is as it was."""
    whole = save(tmp_path).read_bytes()
    expected = load(tmp_path)

    for kept in range(0, len(whole), 37):
        (tmp_path / "mine.npz").write_bytes(whole[:kept])
        refused(tmp_path)

    for place in range(0, len(whole), 5):
        changed = whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]
        (tmp_path / "mine.npz").write_bytes(changed)
        try:
            examples = load(tmp_path)
        except UsageError:
            refused(tmp_path, "train")
            continue
        assert np.array_equal(expected.inputs, examples.inputs)
        assert np.array_equal(expected.targets, examples.targets)


def test_no_file(tmp_path: Path) -> None:
    """A missing file is named; a folder is none; without a path, loading asks for one."""
    with pytest.raises(MissingData, match=r"npz\[path=mine.npz\]: missing .*mine.npz"):
        load(tmp_path)
    (tmp_path / "mine.npz").mkdir()
    assert refused(tmp_path) == "cannot be read, Is a directory"
    with pytest.raises(UsageError, match=r"say which, npz\[path=FILE.npz\]"):
        Npz().load("test", tmp_path)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.uint16, np.float64])
def test_scale(kind: type, tmp_path: Path) -> None:
    """Numbers of any type and range are divided by the one that stands for 1."""
    images = np.arange(17 * 4).reshape(17, 2, 2) % 17
    np.savez(tmp_path / "mine.npz", x_test=images.astype(kind), y_test=np.arange(17))
    found = Npz(path=Path("mine.npz"), scale=16).load("test", tmp_path).inputs
    assert found.dtype == np.float32
    assert np.array_equal(found[:, 0], (images / 16).astype(np.float32))

    with pytest.raises(UsageError, match=r"x_test lies in 0 to 2: .*scale=N says which"):
        Npz(path=Path("mine.npz"), scale=8).load("test", tmp_path)
    with pytest.raises(ValueError, match="scale must be 0 or a number above it, not -1"):
        Npz(path=Path("mine.npz"), scale=-1)
