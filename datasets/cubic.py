"""A cubic with Gaussian noise, one feature: a toy that shows predictive bands, no download."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench_uq.api import Dataset, Examples, Gaussian, Task

NOISE = 3.0  # standard deviation
TRAINED_ON = 20
# A share of up to 0.07 holds out one example, so that 20 are trained on, as in the paper.
HELD_OUT = 1
# Test inputs, 0.05 apart.
GRID = 241


@dataclass(frozen=True)
class Cubic(Dataset):
    """20 examples of y = x^3 + N(0, 9), x in [-4, 4], one held out; tested on a grid in [-6, 6]."""

    reference: ClassVar[str] = "Hernández-Lobato and Adams 2015, https://arxiv.org/abs/1502.05336"
    title: ClassVar[str] = "Cubic"

    def task(self, root: Path) -> Task:
        """Regression with known noise; the scales are those of the training examples."""
        return Task((1,), Gaussian(noise=NOISE), network="mlp")

    def files(self, root: Path) -> Sequence[Path]:
        """No files: the examples are drawn."""
        return ()

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Draw a split with inputs x (N, 1) in their own units; the test grid is fixed."""
        # Every fold draws anew: with 20 examples most of a picture is chance, and seeds that
        # shared them would show the chance of the networks alone.
        rng = np.random.default_rng([fold, ("train", "test").index(split)])
        if split == "train":
            x = rng.uniform(-4, 4, TRAINED_ON + HELD_OUT)
        else:
            x = np.linspace(-6, 6, GRID)
        y = x**3 + rng.normal(0, NOISE, len(x))
        return Examples(x[:, None].astype(np.float32), y.astype(np.float32))
