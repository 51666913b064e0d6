"""Settings of training and prediction, shared by all methods of a suite."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench_uq.api.errors import UsageError

#: Examples whose predictions share one stream of noise, unless the setting ``block`` says otherwise.
BLOCK = 128


@dataclass(frozen=True)
class Settings:
    """How a run is trained and shown its conditions; sizes of 0 mean all there are."""

    epochs: int = 10
    batch: int = 128
    draws: int = 20  # of the reported predictions
    validation: float = 0.1  # share of the training split that is held out, by seed
    train_images: int = 0
    test_images: int = 0
    attack_images: int = 1000  # the first so many of the test images are attacked
    shift_images: int = 0  # and so many are shown rotated, corrupted
    evaluate_on: Literal["test", "validation"] = "test"  # validation: for choosing settings
    threads: int = 1  # of a run on the CPU; part of its identity
    block: int = BLOCK  # examples predicted together, whose noise comes from one stream
    precision: Literal["float32", "tf32", "bfloat16"] = (
        "float32"  # of training; tf32 is float32 on a CPU
    )

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "draws", "threads", "block"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("train_images", "test_images", "attack_images", "shift_images"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must be at least 0, not {getattr(self, name)}")
        if not 0 < self.validation < 1:
            raise UsageError(f"validation must be in (0, 1), not {self.validation}")
