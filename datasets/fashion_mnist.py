"""Fashion-MNIST: clothes in MNIST's format."""

from dataclasses import dataclass
from typing import ClassVar

from bench_uq.datasets._idx import IdxDataset


@dataclass(frozen=True)
class FashionMnist(IdxDataset):
    """60,000 clothes for training and 10,000 for testing, in ROOT/FashionMNIST/raw/."""

    reference: ClassVar[str] = "Xiao, Rasul and Vollgraf 2017, https://arxiv.org/abs/1708.07747"
    name: ClassVar[str] = "fashion-mnist"
    folder: ClassVar[str] = "FashionMNIST"
