"""A cubic with Gaussian noise, one feature: a toy on which predictive bands can be seen, no download."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench_uq.api import Dataset, Examples, Gaussian, Task

NOISE = 3.0  # standard deviation
TRAINED_ON = 20
#: Beside them one example that a share of up to 0.07 holds out, so that as many are trained on as in the paper.
HELD_OUT = 1
GRID = 241  # test inputs, 0.05 apart


@dataclass(frozen=True)
class Cubic(Dataset):
    """20 examples of y = x^3 + N(0, 9) with x in [-4, 4], and one to hold out; tested on a grid over [-6, 6]."""

    reference: ClassVar[str] = "Hernández-Lobato and Adams 2015, https://arxiv.org/abs/1502.05336"

    def task(self, root: Path) -> Task:
        """Return a task whose noise is known; scales are those of the examples trained on."""
        return Task((1,), Gaussian(noise=NOISE), network="mlp")

    def files(self, root: Path) -> Sequence[Path]:
        """Return none: they are drawn."""
        return ()

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Return a split with inputs x (N, 1) in their own units; every fold is another data set, on one test grid.

        With 20 examples most of a picture is chance: seeds that shared them would tell of the networks' alone.
        """
        rng = np.random.default_rng([fold, ("train", "test").index(split)])
        x = (
            rng.uniform(-4, 4, TRAINED_ON + HELD_OUT)
            if split == "train"
            else np.linspace(-6, 6, GRID)
        )
        y = x**3 + rng.normal(0, NOISE, len(x))
        return Examples(x[:, None].astype(np.float32), y.astype(np.float32))
