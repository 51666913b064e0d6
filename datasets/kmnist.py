"""KMNIST: cursive Japanese characters in MNIST's format."""

from dataclasses import dataclass
from typing import ClassVar

from bench_uq.datasets._idx import IdxDataset


@dataclass(frozen=True)
class KMnist(IdxDataset):
    """60,000 characters for training and 10,000 for testing, in ROOT/KMNIST/raw/."""

    reference: ClassVar[str] = "Clanuwat et al. 2018, https://arxiv.org/abs/1812.01718"
    title: ClassVar[str] = "KMNIST"
    name: ClassVar[str] = "kmnist"
    folder: ClassVar[str] = "KMNIST"
