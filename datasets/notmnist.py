"""notMNIST: letters A to J in MNIST's format, OOD data for networks that were trained on MNIST."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from bench_uq.api import Download
from bench_uq.datasets._idx import IdxDataset

ORIGIN = (
    "https://raw.githubusercontent.com/davidflanagan/notMNIST-to-MNIST/"
    "c58c29ff93d7b8c809c449b380a232f9f39909fd"
)
SHA256 = {
    "t10k-images-idx3-ubyte.gz": "8e7f38ae95cc8f48e0986175ffc9137e5007ebcf3d8fdf6656c904eb9dab198b",
    "t10k-labels-idx1-ubyte.gz": "5f8e6012f2ce730700d8d05fca098bc47f71d25b890e4bec7ac5ebfd614a4001",
}


@dataclass(frozen=True)
class NotMnist(IdxDataset):
    """10,000 letters from found typefaces, 1,000 per class, in ROOT/notMNIST/raw/."""

    reference: ClassVar[str] = (
        "Bulatov 2011, https://yaroslavvb.blogspot.com/2011/09/notmnist-dataset.html"
    )
    title: ClassVar[str] = "notMNIST"
    splits: ClassVar[tuple[str, ...]] = ("test",)
    name: ClassVar[str] = "notmnist"
    folder: ClassVar[str] = "notMNIST"
    # Those of MNIST: the letters are for networks that were trained on it.
    mean: ClassVar[tuple[float, ...]] = (0.1307,)
    std: ClassVar[tuple[float, ...]] = (0.3081,)

    def downloads(self) -> Sequence[Download]:
        """Offer the compressed idx files."""
        downloads = []
        for name, sha256 in SHA256.items():
            path = f"{self.folder}/raw/{name}"
            downloads.append(Download(path, (f"{ORIGIN}/{name}",), sha256=sha256))
        return downloads
