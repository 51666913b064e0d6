"""Images of your own, one folder per class: train/<class>/* and test/<class>/*."""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench_uq.api import Categorical, Dataset, Examples, MissingData, Task, UsageError
from bench_uq.datasets._files import located, stamp
from bench_uq.datasets._images import (
    FOREIGN,
    Colour,
    foreign,
    image_files,
    images_shape,
    mixed,
    present,
    read_classes,
    scanned,
)

UNSET = Path("FOLDER")
SOME = 5  # names in a remark


@dataclass(frozen=True)
class Folder(Dataset):
    """Images of your own in FOLDER/{train,test}/<class>/; test/ alone is OOD data."""

    reference: ClassVar[str] = (
        "torchvision's ImageFolder, "
        "https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html"
    )
    title: ClassVar[str] = "Folder"

    path: Path = UNSET  # below the root of the data, else in the working folder
    size: int = 0  # of the squares that they are resized to; 0 keeps their sizes
    colour: Colour = "auto"  # grey where all images of train/ are, else rgb

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"size must be 0 or more pixels, not {self.size}")

    def task(self, root: Path) -> Task:
        """Classify the classes of train/, or of test/ where that is alone."""
        known = class_files(self.first(root))
        return Task(self.shape(known), Categorical(len(known)))

    def files(self, root: Path) -> Sequence[Path]:
        """List all images of both splits; without any, the folders of the splits."""
        folders = [self.folder(root) / split for split in self.splits]
        files: list[Path] = []
        for folder in folders:
            if folder.is_dir():
                files += image_files(folder)
        # Without any image the folders are named, for the user to see where they belong.
        return files or folders

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read a split, the same for every fold; labels number the classes by name."""
        folder, first = self.folder(root) / split, self.first(root)
        files, known = class_files(folder), class_files(first)
        for name in files:
            if name not in known:
                raise UsageError(f"{folder / name}: not a class of {first} ({', '.join(known)})")

        # The first split decides by itself: to ask for its shape would decode it twice.
        colour = self.colour
        if folder != first:
            colour = "grey" if self.shape(known)[0] == 1 else "rgb"
        images, labels = read_classes(files.values(), size=self.size, colour=colour)

        # A split may lack some of the classes: its labels are those of the first split.
        numbers = np.array([list(known).index(name) for name in files])
        return Examples(images, numbers[labels], remarks_on(folder, files))

    def folder(self, root: Path) -> Path:
        """The folder of the images."""
        return located("folder", self.path, root, unset=UNSET)

    def first(self, root: Path) -> Path:
        """The folder of the split that determines the classes and the colours."""
        folder = self.folder(root)
        for split in self.splits:
            if (folder / split).is_dir():
                return folder / split
        return folder / "train"

    def shape(self, files: dict[str, list[Path]]) -> tuple[int, int, int]:
        """Shape (C, H, W) of the images; reads all of them."""
        stamps = tuple(stamp(file) for _, file in mixed(files.values()))
        return images_shape(stamps, self.size, self.colour)


def class_files(folder: Path) -> dict[str, list[Path]]:
    """List the images of each class, which has the name of its folder."""
    if not folder.is_dir():
        raise MissingData("folder", [folder])

    # Hidden folders are those of file managers and editors, not classes.
    paths = [present(path) for path in folder.iterdir() if not foreign(path.name)]
    folders = sorted(path for path in paths if path.is_dir())
    if not folders:
        raise UsageError(f"{folder}: has no folders, one per class")

    files: dict[str, list[Path]] = {}
    for path in folders:
        images = image_files(path)
        if not images:
            raise UsageError(f"{path}: has no images")
        # Systems spell an accent in one sign or in two.
        files.setdefault(unicodedata.normalize("NFC", path.name), []).extend(images)
    return dict(sorted(files.items()))


def remarks_on(folder: Path, classes: Mapping[str, Sequence[Path]]) -> tuple[str, ...]:
    """Say what is left out of a split, by reason, and which classes have little left."""
    left_out, poor = list[tuple[str, str]](), list[str]()
    for path in sorted(folder.iterdir()):
        if foreign(path.name):
            left_out.append((FOREIGN, path.name))
        elif not path.is_dir():
            left_out.append(("outside of the folders of classes", path.name))
        else:
            found, others = scanned(path)
            left_out += others
            if len(others) > len(found):
                poor.append(path.name)

    remarks = []
    for reason in dict.fromkeys(reason for reason, _ in left_out):
        names = [name for one, name in left_out if one == reason]
        some = ", ".join(sorted(set(names))[:SOME])
        remarks.append(f"{folder.name}/: {len(names)} left out, {reason} ({some})")

    single = [name for name, files in classes.items() if len(files) == 1]
    for names, told in ((poor, "more left out than read of"), (single, "one image only of")):
        if names:
            remarks.append(f"{folder.name}/: {told} {', '.join(names[:SOME])}")
    return tuple(remarks)
