"""Tiny data made by formulas, so that every machine has the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np

CLASSES = 3
TRAIN, TEST = 96, 16


def write_data(folder: Path) -> None:
    """Write every data file that the suites name, and predictions to import."""
    write_splits(folder / "images.npz", images(8, 1))
    write_splits(folder / "features.npz", features(4))
    write_splits(folder / "colour-images.npz", images(16, 3).astype(np.float32) / np.float32(255))

    other = slice(0, TEST)
    np.savez(folder / "other-images.npz", x_test=255 - images(8, 1)[other], y_test=labels()[other])
    np.savez(folder / "other-features.npz", x_test=1 - features(4)[other], y_test=labels()[other])

    (folder / "uci").mkdir()
    np.savetxt(folder / "uci" / "waves.txt", np.column_stack([features(4), real_targets()]), "%.3f")
    write_predictions(folder)


def write_splits(path: Path, inputs: np.ndarray) -> None:
    """Write training and test examples of three classes."""
    train, test = slice(0, TRAIN), slice(TRAIN, None)
    splits = {"x_train": inputs[train], "x_test": inputs[test]}
    np.savez(path, **splits, y_train=labels()[train], y_test=labels()[test])


def write_predictions(folder: Path) -> None:
    """Write two draws of a classifier and of a regression for 16 examples."""
    draw, example, of = np.ogrid[:2, :TEST, :CLASSES]
    probs = 2 + np.sin(draw + 1.3 * example + 2 * of)
    probs /= probs.sum(-1, keepdims=True)
    np.savez(folder / "classifier.npz", probs=probs, labels=labels()[:TEST])

    mean, std = 10 + probs[..., 0], probs[..., 1]
    np.savez(folder / "regression.npz", mean=mean, std=std, targets=real_targets()[:TEST])


def labels() -> np.ndarray:
    """Class of each example, (N,)."""
    return np.arange(TRAIN + TEST) % CLASSES


def images(side: int, channels: int) -> np.ndarray:
    """Waves whose length across the image tells the class, (N, channels, side, side) bytes."""
    example, channel, y, x = np.ogrid[: TRAIN + TEST, :channels, :side, :side]
    length = 0.8 * (1 + example % CLASSES)
    waves = np.sin(length * x + 0.5 * y + 1.3 * example + channel)

    # Rounded, as the last bit of a sine differs between machines.
    return np.rint(127.5 * (1 + waves)).astype(np.uint8)


def features(count: int) -> np.ndarray:
    """Points on a wave whose length tells the class, (N, count) in [0, 1]."""
    example, feature = np.ogrid[: TRAIN + TEST, :count]
    waves = np.sin(1.7 * example + (1 + example % CLASSES) * feature)
    return np.round(0.5 + 0.5 * waves, 3)


def real_targets() -> np.ndarray:
    """A smooth function of the features, and something like noise, (N,)."""
    first, second = features(2).T
    noise = np.sin(12.9898 * np.arange(TRAIN + TEST))
    return 10 + 3 * np.sin(4 * first) + 2 * second + 0.3 * noise
