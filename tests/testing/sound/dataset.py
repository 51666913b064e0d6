"""A dataset that keeps every requirement: noise."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bench_uq.api import Categorical, Dataset, Examples, Task


def made(split, fold):
    """Make the examples of a split."""
    rng = np.random.default_rng(["train", "test"].index(split))
    labels = np.arange(60) % 3
    return Examples(rng.random((60, 1, 12, 12), np.float32), labels)


@dataclass(frozen=True)
class Mine(Dataset):
    """Noise."""

    reference: ClassVar[str] = "https://example.org"

    def task(self, root):
        """Say what the examples are."""
        return Task((1, 12, 12), Categorical(3))

    def load(self, split, root, fold=0):
        """Load a split."""
        return made(split, fold)
