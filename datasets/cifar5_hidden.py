"""The last five classes of CIFAR-10, OOD data for networks that were trained on the first five."""

from dataclasses import dataclass
from typing import ClassVar

from bench_uq.datasets._cifar import Cifar10Classes


@dataclass(frozen=True)
class Cifar5Hidden(Cifar10Classes):
    """5,000 photographs of dogs, frogs, horses, ships and trucks, as labels 0 to 4."""

    title: ClassVar[str] = "CIFAR-5 hidden classes"
    splits: ClassVar[tuple[str, ...]] = ("test",)
    name: ClassVar[str] = "cifar5-hidden"
    classes: ClassVar[slice] = slice(5, 10)
