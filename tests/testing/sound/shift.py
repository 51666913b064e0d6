"""A shift that keeps every requirement: noise."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from bench_uq.api import Shift


@dataclass(frozen=True)
class Mine(Shift):
    """Noise."""

    reference: ClassVar[str] = "https://example.org"

    def __call__(self, inputs, level, generator):
        """Add noise."""
        return (inputs + level * torch.randn(inputs.shape, generator=generator)).clamp(0, 1)
