"""Read files of images into arrays; one that cannot be read, or is of another size than the others, is named."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from bench_uq.api import UsageError
from bench_uq.datasets._paths import stamp

if TYPE_CHECKING:
    from PIL.Image import Image

Colour = Literal["auto", "grey", "rgb"]

GREY = ("1", "L", "LA")
WIDE = ("I;16", "I;16L", "I;16B")  # grey of 16 bits, of which the upper 8 are kept
COLOURED = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
THREADS = 8  # more than cores: where files are read for the first time, most of the time goes into waiting for them


def image_files(folder: Path) -> list[Path]:
    """Return the images in a folder and in its folders, sorted; none where there is no such folder."""
    from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

    found = make_dataset(folder.parent, {folder.name: 0}, IMG_EXTENSIONS, allow_empty=True)
    return [Path(file) for file, _ in found if not Path(file).name.startswith(".")]


def mixed(classes: Iterable[Sequence[Path]]) -> list[tuple[int, Path]]:
    """Return the images of all classes with their labels, the classes mixed evenly.

    Unlike one class after the other, the first so many test examples, which conditions may be limited to, are then of
    all classes by their share.
    """
    places = [
        ((place + 0.5) / len(files), label, file)
        for label, files in enumerate(classes)
        for place, file in enumerate(files)
    ]
    return [(label, file) for _, label, file in sorted(places)]


def read_classes(
    classes: Iterable[Sequence[Path]], *, size: int = 0, colour: Colour = "auto"
) -> tuple[np.ndarray, np.ndarray]:
    """Return the images (N, C, H, W) of all classes, mixed evenly, and their labels (N,)."""
    labels, files = zip(*mixed(classes), strict=True)
    return read_images(files, size=size, colour=colour), np.array(labels, np.int64)


def read_images(files: Sequence[Path], *, size: int = 0, colour: Colour = "auto") -> np.ndarray:
    """Return images (N, C, H, W) as bytes, for the caller to keep; each file is decoded once while it is unchanged.

    Size 0 takes them as they are, all equal; others resize them to squares. Colour auto is grey where all of them are.
    """
    return decoded(tuple(map(stamp, files)), size, colour).copy()


@functools.lru_cache(maxsize=64)
def images_shape(stamps: tuple[tuple[Path, int, int], ...], size: int, colour: Colour) -> tuple[int, int, int]:
    """Return (C, H, W); remembered for longer than the images."""
    _, channels, height, width = decoded(stamps, size, colour).shape
    return channels, height, width


@functools.lru_cache(maxsize=4)  # a training and a test split, and unseen data: a plan goes over them seed by seed
def decoded(stamps: tuple[tuple[Path, int, int], ...], size: int, colour: Colour) -> np.ndarray:
    """Decode files into one array (N, C, H, W)."""
    files = [path for path, _, _ in stamps]
    height, width, _ = pixels(files[0], size, colour).shape
    images = np.empty((len(files), 1 if colour == "grey" else 3, height, width), np.uint8)
    coloured = colour == "rgb"
    for row, image in enumerate(decode(files, size, colour)):
        if image.shape[:2] != (height, width):
            raise UsageError(
                f"{files[row]}: {image.shape[1]}x{image.shape[0]} pixels where {files[0]} has {width}x{height}; "
                "size=N resizes all to NxN"
            )
        images[row] = image.transpose(2, 0, 1)
        coloured = coloured or image.shape[2] == 3
    return images if coloured else images[:, :1].copy()


def decode(files: Sequence[Path], size: int, colour: Colour) -> Iterator[np.ndarray]:
    """Yield the images of files in their order."""
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(files), 1024):  # the first that cannot be read ends it early
            yield from pool.map(functools.partial(pixels, size=size, colour=colour), files[start : start + 1024])


def pixels(file: Path, size: int, colour: Colour) -> np.ndarray:
    """Decode a file to (H, W, C): C is 1 where it is grey or shall be, else 3."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            known = image.mode in (*GREY, *WIDE, *COLOURED)
            array = np.asarray(resized(converted(image, colour), size)) if known else None
    except Exception as error:  # decoders of damaged images raise anything
        reason = "no image of a known format" if isinstance(error, Image.UnidentifiedImageError) else error
        raise UsageError(f"{file}: cannot be read as an image, {' '.join(str(reason).split())}") from error
    if array is None:
        raise UsageError(f"{file}: pixels of mode {image.mode}, expected {', '.join((*GREY, *WIDE, *COLOURED))}")
    return array if array.ndim == 3 else array[..., None]


def converted(image: Image, colour: Colour) -> Image:
    """Return an image as grey or RGB, its own kind where ``colour`` is auto; what is transparent is dropped."""
    from PIL import Image as images

    if image.mode in WIDE:
        image = images.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    grey = image.mode in GREY if colour == "auto" else colour == "grey"
    return image.convert("L" if grey else "RGB")


def resized(image: Image, size: int) -> Image:
    """Return an image as a square of a size, 0 its own; bilinear, and smoothed where it shrinks."""
    from PIL import Image as images

    return image.resize((size, size), images.Resampling.BILINEAR) if size else image
