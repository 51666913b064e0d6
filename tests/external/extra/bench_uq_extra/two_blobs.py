"""Two clouds of points in a square."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bench_uq.api import Categorical, Dataset, Examples, Task


@dataclass(frozen=True)
class TwoBlobs(Dataset):
    """Points around two corners of the unit square."""

    reference: ClassVar[str] = "made here"

    def task(self, root):
        """Return a task of two classes."""
        return Task((2,), Categorical(2), network="mlp")

    def load(self, split, root, fold=0):
        """Return 200 points to train on and 100 others to test on."""
        stream = np.random.default_rng({"train": 0, "test": 1}[split])
        targets = np.arange({"train": 200, "test": 100}[split]) % 2
        inputs = 0.3 + 0.4 * targets[:, None] + stream.normal(0, 0.1, (len(targets), 2))
        return Examples(inputs.clip(0, 1).astype(np.float32), targets)
