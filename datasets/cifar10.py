"""CIFAR-10: photographs of 32x32 pixels in ten classes."""

from dataclasses import dataclass
from typing import ClassVar

from bench_uq.datasets._cifar import Cifar10Classes


@dataclass(frozen=True)
class Cifar10(Cifar10Classes):
    """50,000 photographs for training and 10,000 for testing, in ROOT/cifar-10-batches-py/."""

    title: ClassVar[str] = "CIFAR-10"
    name: ClassVar[str] = "cifar10"
