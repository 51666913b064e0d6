"""Images of your own, a folder a class: train/<class>/* and test/<class>/*."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench_uq.api import Categorical, Dataset, Examples, MissingData, Task, UsageError
from bench_uq.datasets._images import Colour, image_files, images_shape, mixed, read_classes
from bench_uq.datasets._paths import located, stamp

UNSET = Path("FOLDER")


@dataclass(frozen=True)
class Folder(Dataset):
    """Images of your own in FOLDER/train/<class>/ and FOLDER/test/<class>/; test/ alone are unseen data."""

    reference: ClassVar[str] = (
        "torchvision's ImageFolder, https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html"
    )

    path: Path = UNSET  # below the root of the data, else in the working folder
    size: int = 0  # of the squares they are resized to; 0 leaves them as they are
    colour: Colour = "auto"  # grey where all images of train/ are, else rgb

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"size must be 0 or more pixels, not {self.size}")

    def task(self, root: Path) -> Task:
        """Return a task of the classes of train/, or of test/ where that is alone."""
        known = class_files(self.first(root))
        return Task(self.shape(known), Categorical(len(known)))

    def files(self, root: Path) -> Sequence[Path]:
        """Return all images of both splits, or where they belong."""
        folders = [self.folder(root) / split for split in self.splits]
        return [
            file for folder in folders if folder.is_dir() for file in image_files(folder)
        ] or folders

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read a split, the same for every fold, its classes mixed evenly; labels number the classes by name."""
        folder, first = self.folder(root) / split, self.first(root)
        files, known = class_files(folder), class_files(first)
        for name in files:
            if name not in known:
                raise UsageError(f"{folder / name}: no class of {first} ({', '.join(known)})")
        # Not by its number of channels for the images that tell it: they would be decoded again.
        colour: Colour = (
            self.colour if folder == first else "grey" if self.shape(known)[0] == 1 else "rgb"
        )
        images, labels = read_classes(files.values(), size=self.size, colour=colour)
        return Examples(images, np.array([list(known).index(name) for name in files])[labels])

    def folder(self, root: Path) -> Path:
        """Return the folder of the images."""
        return located("folder", self.path, root, unset=UNSET)

    def first(self, root: Path) -> Path:
        """Return the folder of the split that says which classes there are, in which colours."""
        folder = self.folder(root)
        return next(
            (folder / split for split in self.splits if (folder / split).is_dir()), folder / "train"
        )

    def shape(self, files: dict[str, list[Path]]) -> tuple[int, int, int]:
        """Return (C, H, W) of the images, which are all read for it."""
        return images_shape(
            tuple(stamp(file) for _, file in mixed(files.values())), self.size, self.colour
        )


def class_files(folder: Path) -> dict[str, list[Path]]:
    """Return the images of each class, a folder of its name."""
    if not folder.is_dir():
        raise MissingData("folder", [folder])
    # Hidden folders are those of file managers and editors, not classes.
    names = sorted(
        path.name
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith((".", "__"))
    )
    if not names:
        raise UsageError(f"{folder}: no folders in it, one a class")
    files = {name: image_files(folder / name) for name in names}
    for name in names:
        if not files[name]:
            raise UsageError(f"{folder / name}: no images in it")
    return files
