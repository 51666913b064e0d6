"""Labelled test images in a file of their own: a shift that no condition computes."""

from dataclasses import dataclass
from typing import ClassVar

from bench_uq.api import Examples
from bench_uq.datasets.npz import Npz


@dataclass(frozen=True)
class Darkened(Npz):
    """The test images of a file at half their brightness."""

    splits: ClassVar[tuple[str, ...]] = ("test",)
    shift_of: ClassVar[tuple[str, ...]] = ("npz",)

    def load(self, split, root, fold=0):
        """Read the test images and darken them."""
        examples = super().load(split, root, fold)
        return Examples(examples.inputs // 2, examples.targets)
