"""Fashion-MNIST: clothes in MNIST's format."""

from dataclasses import dataclass
from typing import ClassVar

from bench_uq.datasets._idx import IdxDataset


@dataclass(frozen=True)
class FashionMnist(IdxDataset):
    """60,000 clothes for training and 10,000 for testing, in ROOT/FashionMNIST/raw/.

    Debian's package dataset-fashion-mnist has them too: ``bench-uq prepare`` copies them from it.
    """

    reference: ClassVar[str] = "Xiao, Rasul and Vollgraf 2017, https://arxiv.org/abs/1708.07747"
    title: ClassVar[str] = "Fashion-MNIST"
    name: ClassVar[str] = "fashion-mnist"
    folder: ClassVar[str] = "FashionMNIST"
    installed: ClassVar[str] = "/usr/share/datasets/fashion-mnist"
    sha256: ClassVar[tuple[str, ...]] = (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    )
