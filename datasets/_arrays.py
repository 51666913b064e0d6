"""Read and check the arrays of a user's npz file; each error is one line with file and key."""

import functools
from pathlib import Path

import numpy as np

from bench_uq.api import Bomb, Examples, UsageError, open_npz, single

KEYS = ("x_train", "y_train", "x_test", "y_test")
CHANNELS = (1, 3)
SINGLE = b"\x93NUMPY"  # how the file of a single array begins


@functools.lru_cache(maxsize=2)
def read_splits(path: Path, size: int, changed: int, scale: float = 0) -> dict[str, Examples]:
    """Read the splits of a file, once while its size and time of change stay the same.

    Inputs are divided by ``scale``; if it is 0, only bytes are, later and by 255.
    """
    del size, changed
    arrays = read_arrays(path)
    splits = {}
    for split in ("train", "test"):
        if f"x_{split}" in arrays:
            splits[split] = examples(path, split, arrays, scale)

    if "train" in splits:
        agree(path, splits["train"], splits["test"])
    return splits


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of a file, whose names must be those of KEYS."""
    try:
        with path.open("rb") as file:
            single = file.read(6) == SINGLE
        if single:
            # Mapped, so that a damaged file is known as such without reading its numbers.
            np.load(path, mmap_mode="r", allow_pickle=False)
            raise UsageError(f"{path}: not an npz file but a single array")

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
        raise UsageError(f"{path}: not an npz file, or a damaged one") from error


def check_keys(path: Path, names: list[str]) -> None:
    """Require the arrays of both splits or of the test split, each once, and no others."""
    keys = set(names)
    if len(keys) < len(names):
        raise UsageError(f"{path}: an array is given twice (it has {', '.join(names)})")

    allowed = f"{', '.join(KEYS)}, or x_test and y_test alone"
    unknown = sorted(keys - set(KEYS))
    if unknown:
        raise UsageError(f"{path}: unknown {', '.join(unknown)} (allowed: {allowed})")

    wanted = KEYS if keys & {"x_train", "y_train"} else KEYS[2:]
    missing = [key for key in wanted if key not in keys]
    if missing:
        raise UsageError(f"{path}: lacks {', '.join(missing)} (allowed: {allowed})")


def read_array(path: Path, key: str, archive: np.lib.npyio.NpzFile) -> np.ndarray:
    """Read one array, which must not hold Python objects."""
    try:
        array = archive[key]
    except Exception as error:  # a damaged archive raises anything
        objects = "Object arrays" in str(error)
        reason = "an array of Python objects, which would be unpickled" if objects else "damaged"
        raise UsageError(f"{path}: {key} is {reason}") from error
    if not isinstance(array, np.ndarray):
        raise UsageError(f"{path}: {key} is not an array")
    return array


def examples(path: Path, split: str, arrays: dict[str, np.ndarray], scale: float = 0) -> Examples:
    """Check a split, and convert its inputs and labels to those of the engine."""
    x, y = f"x_{split}", f"y_{split}"
    if arrays[x].ndim == 0 or len(arrays[x]) == 0:
        raise UsageError(f"{path}: {x} is empty")

    made = Examples(inputs(path, x, arrays[x], scale), labels(path, y, arrays[y]))
    counts = len(made.inputs), len(made.targets)
    if counts[0] != counts[1]:
        raise UsageError(f"{path}: {x} has {counts[0]} examples, {y} has {counts[1]}")
    return made


def inputs(path: Path, key: str, array: np.ndarray, scale: float = 0) -> np.ndarray:
    """Convert inputs to a new array (N, C, H, W) or (N, F) of uint8 or float32."""
    if scale and array.dtype.kind in "iuf":
        array = array / float(scale)
    kind = array.dtype.kind + str(array.itemsize)
    if kind not in ("u1", "f2", "f4", "f8"):
        expected = "expected uint8, or float16, float32 or float64; other numbers need scale=N"
        raise UsageError(f"{path}: {key} is {array.dtype}, {expected}")

    array = channels_first(path, key, array)
    if array.size == 0:
        raise UsageError(f"{path}: {key} is empty, {array.shape}")
    if kind == "u1":
        return np.ascontiguousarray(array)

    # Values that are not finite are reported below, by a message of their own.
    if array.ndim == 4 and np.isfinite(array).all():
        low, high = array.min(), array.max()
        if low < 0 or high > 1:
            expected = "images are uint8, or floats in [0, 1]; scale=N says which number is 1"
            found = f"{key} lies in {low:g} to {high:g}"
            raise UsageError(f"{path}: {found}: {expected}")

    # An overflow is reported below, with the file and the key.
    with np.errstate(over="ignore"):
        # The training split alone: that of a test may lie in a corner of it.
        features = key == "x_train" and array.ndim == 2 and np.isfinite(array).all()
        array = single(array, f"{path}: {key}, feature") if features else array.astype(np.float32)
    array = np.ascontiguousarray(array)
    if not np.isfinite(array).all():
        raise UsageError(f"{path}: {key} holds NaN or infinite values")
    return array


def channels_first(path: Path, key: str, array: np.ndarray) -> np.ndarray:
    """Bring images into the order (N, C, H, W), and take them as such where both orders fit."""
    # Small images may fit both orders; the first counts, which is that of torch.
    if array.ndim == 2 or (array.ndim == 4 and array.shape[1] in CHANNELS):
        return array
    if array.ndim == 3:
        return array[:, None]
    if array.ndim == 4 and array.shape[3] in CHANNELS:
        return array.transpose(0, 3, 1, 2)
    expected = "(N,F), (N,H,W), (N,C,H,W) or (N,H,W,C) with C 1 or 3"
    raise UsageError(f"{path}: {key} has the shape {array.shape}, expected {expected}")


def labels(path: Path, key: str, array: np.ndarray) -> np.ndarray:
    """Convert labels to (N,) of int64."""
    if array.dtype.kind not in "iu":
        hint = " (real targets: the dataset uci)" if array.dtype.kind == "f" else ""
        raise UsageError(f"{path}: {key} is {array.dtype}, expected integer labels{hint}")
    if array.ndim not in (1, 2) or array.shape[1:] not in ((), (1,)):
        raise UsageError(f"{path}: {key} has the shape {array.shape}, expected (N,) or (N,1)")
    if array.size == 0:
        raise UsageError(f"{path}: {key} is empty")

    for label in (array.min(), array.max()):
        # uint64 holds larger numbers, which would become negative.
        if not 0 <= label < np.iinfo(np.int64).max:
            raise UsageError(f"{path}: {key} has the label {label}, expected 0 to C - 1")
    return array.reshape(-1).astype(np.int64)


def agree(path: Path, train: Examples, test: Examples) -> None:
    """Require training labels from 0 to C - 1, and a test split of the same task."""
    lowest, highest = int(train.targets.min()), int(train.targets.max())
    if lowest == highest:
        raise UsageError(f"{path}: y_train has one class only, {highest}")
    # More classes than examples: probably not labels but ids.
    if highest >= len(train):
        found = f"y_train has the label {highest} in {len(train)} examples"
        raise UsageError(f"{path}: {found}: labels are 0 to C - 1")
    # Labels from 1 on would leave class 0 without an example.
    if lowest > 0:
        found = f"y_train has the labels {lowest} to {highest}"
        raise UsageError(f"{path}: {found}: classes count from 0")

    beyond = test.targets.max()
    if beyond > highest:
        raise UsageError(
            f"{path}: y_test has the label {beyond}, those of y_train end at {highest}"
        )
    if train.inputs.shape[1:] != test.inputs.shape[1:]:
        shapes = f"{train.inputs.shape[1:]} in x_train, {test.inputs.shape[1:]} in x_test"
        raise UsageError(f"{path}: inputs have the shape {shapes}")
    # Bytes are divided by 255, floats are not.
    if train.inputs.dtype != test.inputs.dtype:
        types = f"x_train is {train.inputs.dtype}, x_test is {test.inputs.dtype}"
        raise UsageError(f"{path}: {types}: both must be of one type")
