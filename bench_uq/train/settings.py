"""Settings of training and prediction, shared by all methods of a suite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench_uq.api.errors import UsageError

#: Examples whose predictions share one stream of noise, unless the setting ``block`` differs.
BLOCK = 128

#: TF32 is float32 on a CPU.
Precision = Literal["float32", "tf32", "bfloat16"]


@dataclass(frozen=True)
class Settings:
    """Settings of a run; a number of images of 0 means all of them."""

    epochs: int = 10
    batch: int = 128
    draws: int = 20  # posterior samples per reported prediction
    validation: float = 0.1  # share of the training split that is held out, by seed
    train_images: int = 0
    test_images: int = 0
    attack_images: int = 1000  # the first of the test images, which are attacked
    shift_images: int = 0  # the first of the test images, which are rotated, corrupted, ...
    evaluate_on: Literal["test", "validation"] = "test"  # validation: for choosing settings
    threads: int = 1  # of a run on the CPU
    block: int = BLOCK  # examples predicted together
    precision: Precision = "float32"  # of training

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "draws", "threads", "block"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")

        for name in ("train_images", "test_images", "attack_images", "shift_images"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must be at least 0, not {getattr(self, name)}")

        if not 0 < self.validation < 1:
            raise UsageError(f"validation must be in (0, 1), not {self.validation}")
