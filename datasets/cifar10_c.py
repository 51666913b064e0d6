"""CIFAR-10-C: CIFAR-10's test photographs under nineteen corruptions, in its authors' files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from bench_uq.datasets._corrupted import CorruptedDataset


@dataclass(frozen=True)
class Cifar10C(CorruptedDataset):
    """10,000 photographs at a severity of 1 to 5, in ROOT/CIFAR-10-C/<corruption>.npy."""

    reference: ClassVar[str] = "Hendrycks & Dietterich 2019, https://arxiv.org/abs/1903.12261"
    title: ClassVar[str] = "CIFAR-10-C"
    shift_of: ClassVar[tuple[str, ...]] = ("cifar10",)
    name: ClassVar[str] = "cifar10-c"
    shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    parts: ClassVar[int] = 5  # the severities

    corruption: Literal[
        "brightness", "contrast", "defocus-blur", "elastic-transform", "fog", "frost",
        "gaussian-blur", "gaussian-noise", "glass-blur", "impulse-noise", "jpeg-compression",
        "motion-blur", "pixelate", "saturate", "shot-noise", "snow", "spatter",
        "speckle-noise", "zoom-blur",
    ] = "fog"  # fmt: skip
    severity: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.severity <= self.parts:
            raise ValueError(f"severity must be 1 to {self.parts}, not {self.severity}")

    @property
    def part(self) -> int:
        """The images of this severity."""
        return self.severity - 1

    def files(self, root: Path) -> Sequence[Path]:
        """List the images and the labels."""
        folder = root / "CIFAR-10-C"
        return [folder / f"{self.corruption.replace('-', '_')}.npy", folder / "labels.npy"]
