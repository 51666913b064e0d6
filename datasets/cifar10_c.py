"""CIFAR-10-C: CIFAR-10's test photographs under nineteen corruptions of five severities, in its authors' files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from bench_uq.api import Categorical, Dataset, Examples, Task
from bench_uq.datasets._corrupted import only_test, read_corrupted

#: A file holds the test photographs at all severities, one after the other.
SEVERITIES = 5


@dataclass(frozen=True)
class Cifar10C(Dataset):
    """10,000 photographs of one severity, 1 to 5, in ROOT/CIFAR-10-C/<corruption>.npy with labels.npy beside it."""

    reference: ClassVar[str] = "Hendrycks & Dietterich 2019, https://arxiv.org/abs/1903.12261"
    splits: ClassVar[tuple[str, ...]] = ("test",)
    shift_of: ClassVar[tuple[str, ...]] = ("cifar10",)

    corruption: Literal[
        "brightness",
        "contrast",
        "defocus-blur",
        "elastic-transform",
        "fog",
        "frost",
        "gaussian-blur",
        "gaussian-noise",
        "glass-blur",
        "impulse-noise",
        "jpeg-compression",
        "motion-blur",
        "pixelate",
        "saturate",
        "shot-noise",
        "snow",
        "spatter",
        "speckle-noise",
        "zoom-blur",
    ] = "fog"
    severity: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.severity <= SEVERITIES:
            raise ValueError(f"severity must be 1 to {SEVERITIES}, not {self.severity}")

    def task(self, root: Path) -> Task:
        """Return ten classes of 32x32 pixels in colour."""
        return Task((3, 32, 32), Categorical(10))

    def files(self, root: Path) -> Sequence[Path]:
        """Return the images and the labels."""
        folder = root / "CIFAR-10-C"
        return [folder / f"{self.corruption.replace('-', '_')}.npy", folder / "labels.npy"]

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Return the corrupted test photographs of the severity."""
        only_test("cifar10-c", split)
        images, labels = self.files(root)
        return read_corrupted(
            "cifar10-c", images, labels, (3, 32, 32), self.severity - 1, SEVERITIES
        )
