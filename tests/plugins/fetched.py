"""A dataset whose file is fetched from wherever a test says."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bench_uq.api import Categorical, Dataset, Download, Examples, MissingData, Task


@dataclass(frozen=True)
class Fetched(Dataset):
    """Images of 4x4 pixels, one after the other in a file that may come in an archive."""

    reference: ClassVar[str] = "nowhere"
    splits: ClassVar[tuple[str, ...]] = ("test",)

    addresses: str = "none"  # with a | between them
    path: str = "fetched/images.bin"
    md5: str = "none"
    sha256: str = "none"
    unpack: bool = False
    installed: str = "none"

    def task(self, root):
        """Return a task of two classes."""
        return Task((1, 4, 4), Categorical(2))

    def files(self, root):
        """Return the file."""
        return [root / "fetched" / "images.bin"]

    def load(self, split, root, fold=0):
        """Read the images."""
        (file,) = self.files(root)
        if not file.is_file():
            raise MissingData("fetched", [file])
        images = np.frombuffer(file.read_bytes(), np.uint8).reshape(-1, 1, 4, 4).copy()
        return Examples(images, np.zeros(len(images), np.int64))

    def downloads(self):
        """Return the one download, or none where there is no address."""
        if self.addresses == "none":
            return ()
        given = (self.md5, self.sha256, self.installed)
        md5, sha256, installed = (value.replace("none", "") for value in given)
        urls = tuple(self.addresses.split("|"))
        return [Download(self.path, urls, md5, sha256, self.unpack, installed)]
