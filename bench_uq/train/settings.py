"""Settings of training and prediction, shared by all methods of a suite."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from bench_uq.api.errors import UsageError

#: Examples whose predictions share one stream of noise, unless the setting ``block`` differs.
BLOCK = 128

#: TF32 is float32 on a CPU.
Precision = Literal["float32", "tf32", "bfloat16"]

#: How the learning rate falls after the warm-up.
Schedule = Literal["constant", "cosine", "linear", "step"]

#: Settings of the recipe of a training (train/recipe.py).
RECIPE = ("learning_rate", "schedule", "warmup", "weight_decay", "clip")
#: Settings that METHOD.NAME sets for one method. Others, such as draws, are options of conditions.
OF_METHODS = ("epochs", "batch", *RECIPE)


#: The meaning of each setting; ``bench-uq list settings`` prints it.
MEANINGS = {
    "epochs": "passes over the training examples",
    "batch": "examples of a training step",
    "draws": "posterior samples per reported prediction",
    "validation": "share of the training split that is held out, by seed",
    "train_images": "the first of the training images",
    "test_images": "the first of the test images, which are predicted",
    "attack_images": "the first of the test images, which are attacked",
    "shift_images": "the first of the test images, which are rotated, corrupted, ...",
    "evaluate_on": "validation: for choosing settings",
    "threads": "of a run on the CPU",
    "block": "examples predicted together",
    "precision": "of training",
    "learning_rate": "of all parameters but those with a rate of their own; 0: the method's",
    "schedule": "of every rate, after the warm-up",
    "warmup": "share of the training over which the rates rise",
    "weight_decay": "apart from the gradient, for methods without a prior",
    "clip": "largest norm of a network's gradient; 0: none",
}


@dataclass(frozen=True)
class Settings:
    """Settings of a run; a number of images of 0 means all of them."""

    epochs: int = 10
    batch: int = 128
    draws: int = 20
    validation: float = 0.1
    train_images: int = 0
    test_images: int = 0
    attack_images: int = 1000
    shift_images: int = 0
    evaluate_on: Literal["test", "validation"] = "test"
    threads: int = 1
    block: int = BLOCK
    precision: Precision = "float32"
    learning_rate: float = 0.0
    schedule: Schedule = "constant"
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip: float = 0.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "draws", "threads", "block"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")

        for name in ("train_images", "test_images", "attack_images", "shift_images"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must be at least 0, not {getattr(self, name)}")

        if not 0 < self.validation < 1:
            raise UsageError(f"validation must be in (0, 1), not {self.validation}")
        if not 0 <= self.warmup < 1:
            raise UsageError(f"warmup must be in [0, 1), not {self.warmup}")

        for name in ("learning_rate", "weight_decay", "clip"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise UsageError(f"{name} must be finite and at least 0, not {value}")
