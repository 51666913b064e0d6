"""Read images and labels from npy files: published corruptions of test examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench_uq.api import Examples, MissingData, UsageError


def read_corrupted(
    dataset: str,
    images: Path,
    labels: Path,
    shape: tuple[int, int, int],
    part: int = 0,
    parts: int = 1,
) -> Examples:
    """Return one of equal parts of the images (N, H, W, C) as (n, C, H, W), with labels; ``shape`` is (C, H, W)."""
    channels, height, width = shape
    inputs = read_npy(dataset, images, "uint8 images", (height, width, channels))
    targets = read_npy(dataset, labels, "labels", ())
    if len(inputs) != len(targets):
        raise UsageError(f"{images}: {len(inputs)} images, {len(targets)} labels in {labels.name}")
    count, rest = divmod(len(inputs), parts)
    if rest or not count:
        raise UsageError(f"{images}: {len(inputs)} images, expected a multiple of {parts}")
    chosen = slice(part * count, (part + 1) * count)
    return Examples(
        np.array(inputs[chosen].transpose(0, 3, 1, 2), order="C"),
        np.array(targets[chosen], np.int64),
    )


def only_test(dataset: str, split: str) -> None:
    """Refuse any other split."""
    if split != "test":
        raise ValueError(f"{dataset} has no split {split!r}, only 'test'")


def read_npy(dataset: str, path: Path, what: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array (N, *shape) of whole numbers, which nothing is unpickled for."""
    if not path.is_file():
        raise MissingData(dataset, [path])
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"{path}: no npy file, or a damaged one") from error
    wanted = array.dtype == np.uint8 if shape else array.dtype.kind in "iu"
    if (
        not isinstance(array, np.ndarray)
        or array.shape[1:] != shape
        or array.ndim == 0
        or not wanted
    ):
        sizes = ", ".join(["N", *map(str, shape)])
        raise UsageError(
            f"{path}: an array {array.shape} of {array.dtype}, expected {what} ({sizes})"
        )
    return array
