"""The first five classes of CIFAR-10: airplane, automobile, bird, cat and deer."""

from dataclasses import dataclass
from typing import ClassVar

from bench_uq.datasets._cifar import Cifar10Classes


@dataclass(frozen=True)
class Cifar5(Cifar10Classes):
    """25,000 photographs for training, 5,000 for testing; cifar5-hidden has the other classes."""

    title: ClassVar[str] = "CIFAR-5"
    name: ClassVar[str] = "cifar5"
    classes: ClassVar[slice] = slice(0, 5)
