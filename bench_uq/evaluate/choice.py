"""Arguments of ``bench_uq.evaluate`` for anything that it evaluates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench_uq.train.settings import Settings


@dataclass(frozen=True)
class Limits:
    """Numbers of the first test images by their use; 0 is all (train/settings.py)."""

    test_images: int = Settings.test_images
    attack_images: int = Settings.attack_images
    shift_images: int = Settings.shift_images

    def of(self, setting: str, examples: int) -> int:
        """Number of images that a condition is shown."""
        return min(examples, getattr(self, setting) or examples)


@dataclass(frozen=True)
class Choice:
    """How to evaluate; each field is an argument of ``bench_uq.evaluate``."""

    draws: Any
    unseen: Mapping[str, Any]
    conditions: Mapping[str, Any] | Iterable[str]
    binary: bool
    variance: Any
    std: Any
    mean: Any
    outputs: Literal["auto", "logits", "probs"]
    output: str | int | None
    mc_dropout: bool
    device: str
    data_dir: Path
    plugins: tuple[Path, ...]
    limits: Limits
    name: str
    resamples: int
    seed: int
