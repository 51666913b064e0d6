"""Published corruptions in files: read right, refused when wrong, and shown with their labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench_uq import read_scores
from bench_uq.api import UsageError
from bench_uq.cli import main
from bench_uq.datasets.cifar10_c import Cifar10C
from bench_uq.datasets.mnist_c import MnistC

COUNT = 6


def write(folder: Path, images: str, labels: str, shape: tuple[int, ...]) -> np.ndarray:
    """Write images that tell their place, and their labels."""
    folder.mkdir(parents=True)
    pixels = np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)
    pixels[:, 0, 0, 0] = np.arange(shape[0])
    np.save(folder / f"{images}.npy", pixels)
    np.save(folder / f"{labels}.npy", np.arange(shape[0]) % 10)
    return pixels


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_severities_of_cifar(tmp_path: Path, severity: int) -> None:
    """A severity is its fifth of the file, channels first, with the labels beside it."""
    pixels = write(tmp_path / "CIFAR-10-C", "glass_blur", "labels", (5 * COUNT, 32, 32, 3))
    found = Cifar10C(corruption="glass-blur", severity=severity).load("test", tmp_path)
    own = slice((severity - 1) * COUNT, severity * COUNT)
    assert np.array_equal(found.inputs, pixels[own].transpose(0, 3, 1, 2))
    assert np.array_equal(found.targets, np.arange(5 * COUNT)[own] % 10)


def test_mnist_c(tmp_path: Path) -> None:
    """All images of a corruption's folder, with its own labels."""
    pixels = write(
        tmp_path / "mnist_c" / "shot_noise", "test_images", "test_labels", (COUNT, 28, 28, 1)
    )
    found = MnistC(corruption="shot-noise").load("test", tmp_path)
    assert np.array_equal(found.inputs[:, 0], pixels[..., 0])
    assert (found.inputs.dtype, found.targets.dtype) == (np.uint8, np.int64)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (np.zeros((COUNT, 28, 28), np.uint8), r"expected uint8 images \(N, 28, 28, 1\)"),
        (np.zeros((COUNT, 28, 28, 1), np.float32), "of float32, expected uint8 images"),
        (np.zeros((0, 28, 28, 1), np.uint8), "0 images, 6 labels"),
        (np.zeros((COUNT + 1, 28, 28, 1), np.uint8), "7 images, 6 labels"),
        (np.array([{}], dtype=object), "not an npy file, or a damaged one"),
    ],
)
def test_wrong_arrays_are_refused(tmp_path: Path, content: np.ndarray, words: str) -> None:
    """Arrays of another shape, type or length are refused in one line; objects are never unpickled."""
    write(tmp_path / "mnist_c" / "fog", "test_images", "test_labels", (COUNT, 28, 28, 1))
    np.save(tmp_path / "mnist_c" / "fog" / "test_images.npy", content, allow_pickle=True)
    with pytest.raises(UsageError, match=words):
        MnistC().load("test", tmp_path)


def test_archives_are_refused(tmp_path: Path) -> None:
    """An archive of arrays under the name of an npy file is told in one line."""
    write(tmp_path / "mnist_c" / "fog", "test_images", "test_labels", (COUNT, 28, 28, 1))
    with (tmp_path / "mnist_c" / "fog" / "test_images.npy").open("wb") as file:
        np.savez(file, np.zeros((COUNT, 28, 28, 1), np.uint8))
    with pytest.raises(UsageError, match="not an npy file"):
        MnistC().load("test", tmp_path)


def test_files_of_other_sizes_are_refused(tmp_path: Path) -> None:
    """A file of CIFAR-10-C holds five severities of equally many images."""
    write(tmp_path / "CIFAR-10-C", "fog", "labels", (7, 32, 32, 3))
    with pytest.raises(UsageError, match="7 images, expected a multiple of 5"):
        Cifar10C().load("test", tmp_path)


@pytest.mark.parametrize("severity", [0, 6])
def test_severities_that_there_are_not(severity: int) -> None:
    """Severities are 1 to 5."""
    with pytest.raises(ValueError, match=f"severity must be 1 to 5, not {severity}"):
        Cifar10C(severity=severity)


PLUGIN = '''
from dataclasses import dataclass
from typing import ClassVar
from bench_uq.api import Dataset
from bench_uq.datasets.digits import Digits

@dataclass(frozen=True)
class {name}(Dataset):
    """Digits turned dark, with their labels."""

    reference: ClassVar[str] = "https://example.org"
    splits: ClassVar[tuple[str, ...]] = ("test",)
    shift_of: ClassVar[tuple[str, ...]] = {shift_of}

    def task(self, root):
        return Digits().task(root)

    def load(self, split, root, fold=0):
        examples = Digits().load(split, root, fold)
        return type(examples)(examples.inputs / 2, examples.targets)
'''


def test_shifted_data_are_shown_with_their_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data that are another dataset's examples, changed, have accuracies; the same data without
    that word have none.
    """
    monkeypatch.chdir(tmp_path)
    Path("dark.py").write_text(PLUGIN.format(name="Dark", shift_of='("digits",)'))
    Path("dusk.py").write_text(PLUGIN.format(name="Dusk", shift_of="()"))
    suite = 'methods = ["map"]\ndatasets = ["digits"]\nseeds = [0]\n[settings]\nepochs = 3\n'
    Path("small.toml").write_text(f"{suite}[conditions]\ndark = []\ndusk = []\n")
    command = ["run", "--suite", "small.toml", "--device", "cpu"]
    done = CliRunner().invoke(main, [*command, "--plugin", "dark.py", "--plugin", "dusk.py"])
    assert done.exit_code == 0, done.output
    scores = read_scores("results/small").set_index(["condition", "metric"]).value
    assert scores["clean", "accuracy"].item() > scores["dark", "accuracy"].item() > 0.2
    assert ("dusk", "accuracy") not in scores.index
    assert scores["dark", "auroc_entropy"].item() == scores["dusk", "auroc_entropy"].item()
