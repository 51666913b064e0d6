"""Arguments of ``bench_uq.evaluate`` for anything that it evaluates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bench_uq.api.arguments import whole_number
from bench_uq.train.settings import Settings

#: What a model's numbers are; ``auto`` looks at the first examples.
Outputs = Literal["auto", "logits", "probs"]


@dataclass(frozen=True)
class Limits:
    """Numbers of the first test images by their use; 0 is all (train/settings.py)."""

    test_images: int = Settings.test_images
    attack_images: int = Settings.attack_images
    shift_images: int = Settings.shift_images

    def checked(self) -> Limits:
        """The same, refused where one is no number of images."""
        found = {name: whole_number(value, name, 0) for name, value in vars(self).items()}
        return Limits(**found)

    def of(self, setting: str, examples: int) -> int:
        """Number of images that a condition is shown."""
        return min(examples, getattr(self, setting) or examples)


@dataclass(frozen=True)
class Choice:
    """How to evaluate; each field is an argument of ``bench_uq.evaluate``."""

    draws: Any = None
    unseen: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Any] | Iterable[str] = ()
    binary: bool = False
    variance: Any = None
    std: Any = None
    mean: Any = None
    outputs: Outputs = "auto"
    output: str | int | None = None
    mc_dropout: bool = False
    device: str = "auto"
    data_dir: Path = Path("data")
    plugins: tuple[Path, ...] = ()
    limits: Limits = field(default_factory=Limits)
    name: str = ""
    resamples: int = 1000
    seed: int = 0

    def given(self, names: Iterable[str]) -> list[str]:
        """Those of some arguments that are not at their default, as the caller spells them."""
        plain, found = Choice(), []
        for name in names:
            value, default = getattr(self, name), getattr(plain, name)
            # An array has no truth, and an empty mapping is no other choice than an empty tuple.
            differs = value is not None if default is None else value != default
            if differs and not (default == () and not value):
                found.append(SPELLED.get(name, name))
        return found


#: Arguments that are of models alone, of which predictions have no use.
OF_MODELS = ("conditions", "mean", "outputs", "output", "mc_dropout", "device", "limits")

#: Arguments under other names than their field.
SPELLED = {"limits": "test_images, attack_images, shift_images"}
