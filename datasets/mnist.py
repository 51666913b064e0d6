"""MNIST: handwritten digits of 28x28 pixels."""

from dataclasses import dataclass
from typing import ClassVar

from bench_uq.datasets._idx import IdxDataset


@dataclass(frozen=True)
class Mnist(IdxDataset):
    """60,000 digits for training and 10,000 for testing, in ROOT/MNIST/raw/."""

    reference: ClassVar[str] = (
        "LeCun, Bottou, Bengio and Haffner 1998, https://doi.org/10.1109/5.726791"
    )
    title: ClassVar[str] = "MNIST"
    name: ClassVar[str] = "mnist"
    folder: ClassVar[str] = "MNIST"
    mean: ClassVar[tuple[float, ...]] = (0.1307,)  # of the training split
    std: ClassVar[tuple[float, ...]] = (0.3081,)
