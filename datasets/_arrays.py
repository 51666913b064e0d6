"""Read and check the arrays of a user's npz file; whatever is wrong is an error in one line with file and key."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from bench_uq.api import Bomb, Examples, UsageError, open_npz

KEYS = ("x_train", "y_train", "x_test", "y_test")
CHANNELS = (1, 3)
SINGLE = b"\x93NUMPY"  # how the file of a single array begins


@functools.lru_cache(maxsize=2)
def read_splits(path: Path, size: int, changed: int) -> dict[str, Examples]:
    """Return the splits of a file; read once for as long as its size and time of change stay the same."""
    del size, changed
    arrays = read_arrays(path)
    splits = {
        split: examples(path, split, arrays)
        for split in ("train", "test")
        if f"x_{split}" in arrays
    }
    if "train" in splits:
        agree(path, splits["train"], splits["test"])
    return splits


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file, which must have the right names."""
    try:
        with path.open("rb") as file:
            single = file.read(6) == SINGLE
        if single:
            np.load(
                path, mmap_mode="r", allow_pickle=False
            )  # tells a damaged one, and reads nothing of its numbers
            raise UsageError(f"{path}: no npz file but a single array")
        with open_npz(path) as archive:
            check_keys(path, archive.files)
            return {key: read_array(path, key, archive) for key in archive.files}
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(f"{path}: cannot be read, {error.strerror or error}") from error
    except Bomb as error:
        raise UsageError(f"{path}: {error}") from error
    except Exception as error:  # a damaged archive raises anything
        raise UsageError(f"{path}: no npz file, or a damaged one") from error


def check_keys(path: Path, names: list[str]) -> None:
    """Refuse a file with arrays missing, beside those it must have, or twice."""
    keys = set(names)
    if len(keys) < len(names):
        raise UsageError(f"{path}: an array is given twice (it has {', '.join(names)})")
    unknown = sorted(keys - set(KEYS))
    allowed = f"{', '.join(KEYS)}, or x_test and y_test alone"
    if unknown:
        raise UsageError(f"{path}: unknown {', '.join(unknown)} (allowed: {allowed})")
    wanted = KEYS if keys & {"x_train", "y_train"} else KEYS[2:]
    missing = [key for key in wanted if key not in keys]
    if missing:
        raise UsageError(f"{path}: lacks {', '.join(missing)} (allowed: {allowed})")


def read_array(path: Path, key: str, archive: np.lib.npyio.NpzFile) -> np.ndarray:
    """Return one array, which must not be one of Python's objects."""
    try:
        array = archive[key]
    except Exception as error:  # a damaged archive raises anything
        objects = "Object arrays" in str(error)
        what = "an array of Python objects, which would be unpickled" if objects else "damaged"
        raise UsageError(f"{path}: {key} is {what}") from error
    if not isinstance(array, np.ndarray):
        raise UsageError(f"{path}: {key} is no array")
    return array


def examples(path: Path, split: str, arrays: dict[str, np.ndarray]) -> Examples:
    """Return a split with inputs and labels as the engine takes them."""
    x, y = f"x_{split}", f"y_{split}"
    if arrays[x].ndim == 0 or len(arrays[x]) == 0:
        raise UsageError(f"{path}: {x} is empty")
    made = Examples(inputs(path, x, arrays[x]), labels(path, y, arrays[y]))
    if len(made.inputs) != len(made.targets):
        raise UsageError(
            f"{path}: {x} has {len(made.inputs)} examples, {y} has {len(made.targets)}"
        )
    return made


def inputs(path: Path, key: str, array: np.ndarray) -> np.ndarray:
    """Return inputs (N, C, H, W) or (N, F) as uint8 or float32, each in an array of its own."""
    if array.dtype != np.uint8 and array.dtype.kind + str(array.itemsize) not in ("f2", "f4", "f8"):
        raise UsageError(
            f"{path}: {key} is {array.dtype}, expected uint8, or float16, float32 or float64"
        )
    array = channels_first(path, key, array)
    if array.size == 0:
        raise UsageError(f"{path}: {key} is empty, {array.shape}")
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.ndim == 4 and np.isfinite(array).all() and not (array.min() >= 0 and array.max() <= 1):
        raise UsageError(
            f"{path}: {key} lies in {array.min():g} to {array.max():g}: images are uint8, or floats in [0, 1]"
        )
    with np.errstate(over="ignore"):  # told below
        array = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(array).all():
        raise UsageError(f"{path}: {key} holds NaN or infinite values")
    return array


def channels_first(path: Path, key: str, array: np.ndarray) -> np.ndarray:
    """Return features as they are and images as (N, C, H, W), which they are taken for where both orders fit."""
    if array.ndim == 2 or (array.ndim == 4 and array.shape[1] in CHANNELS):
        return array
    if array.ndim == 3:
        return array[:, None]
    if array.ndim == 4 and array.shape[3] in CHANNELS:
        return array.transpose(0, 3, 1, 2)
    raise UsageError(
        f"{path}: {key} has the shape {array.shape}, expected (N,F), (N,H,W), (N,C,H,W) or (N,H,W,C) with C 1 or 3"
    )


def labels(path: Path, key: str, array: np.ndarray) -> np.ndarray:
    """Return labels (N,) as int64."""
    if array.dtype.kind == "f":
        raise UsageError(
            f"{path}: {key} is {array.dtype}, expected integer labels (real targets: the dataset uci)"
        )
    if array.dtype.kind not in "iu":
        raise UsageError(f"{path}: {key} is {array.dtype}, expected integer labels")
    if array.ndim not in (1, 2) or array.shape[1:] not in ((), (1,)):
        raise UsageError(f"{path}: {key} has the shape {array.shape}, expected (N,) or (N,1)")
    if array.size == 0:
        raise UsageError(f"{path}: {key} is empty")
    if array.min() < 0:
        raise UsageError(f"{path}: {key} has the label {array.min()}, expected 0 to C - 1")
    if array.max() >= np.iinfo(np.int64).max:
        raise UsageError(f"{path}: {key} has the label {array.max()}, expected 0 to C - 1")
    return array.reshape(-1).astype(np.int64)


def agree(path: Path, train: Examples, test: Examples) -> None:
    """Refuse splits of two tasks, and training labels that are no task."""
    lowest, highest = int(train.targets.min()), int(train.targets.max())
    if (train.targets == train.targets[0]).all():
        raise UsageError(f"{path}: y_train has one class only, {highest}")
    if highest >= len(train):
        raise UsageError(
            f"{path}: y_train has the label {highest} in {len(train)} examples: labels are 0 to C - 1"
        )
    if lowest > 0:
        raise UsageError(
            f"{path}: y_train has the labels {lowest} to {highest}: classes count from 0"
        )
    if test.targets.max() > highest:
        raise UsageError(
            f"{path}: y_test has the label {test.targets.max()}, those of y_train end at {highest}"
        )
    if train.inputs.shape[1:] != test.inputs.shape[1:]:
        shapes = f"{train.inputs.shape[1:]} in x_train, {test.inputs.shape[1:]} in x_test"
        raise UsageError(f"{path}: inputs have the shape {shapes}")
    if train.inputs.dtype != test.inputs.dtype:  # bytes are divided by 255, floats are not
        raise UsageError(
            f"{path}: x_train is {train.inputs.dtype}, x_test is {test.inputs.dtype}: one must be the other"
        )
