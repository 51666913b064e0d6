"""Read files of images into arrays; one that cannot be read, or is of another size than the others, is named."""

from __future__ import annotations

import functools
import warnings
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
#: Told by content, whatever the name ends in. Of the others that Pillow knows one runs a program to read a file.
FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
LARGEST = 1 << 26  # pixels of an image, more than cameras take
LARGE = (
    1 << 22
)  # pixels from which on images are decoded one after the other, so that a few do not fill the memory
MOST, RATIO = (
    1 << 30,
    100,
)  # bytes that any images may unpack to, and how many times the size of their files
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
def images_shape(
    stamps: tuple[tuple[Path, int, int], ...], size: int, colour: Colour
) -> tuple[int, int, int]:
    """Return (C, H, W); remembered for longer than the images."""
    _, channels, height, width = decoded(stamps, size, colour).shape
    return channels, height, width


@functools.lru_cache(
    maxsize=4
)  # a training and a test split, and unseen data: a plan goes over them seed by seed
def decoded(stamps: tuple[tuple[Path, int, int], ...], size: int, colour: Colour) -> np.ndarray:
    """Decode files into one array (N, C, H, W)."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter(
            "error", Image.DecompressionBombWarning
        )  # from 89 million pixels; more by far are errors
        return decoded_all(
            [path for path, _, _ in stamps], size, colour, sum(count for _, count, _ in stamps)
        )


def decoded_all(files: Sequence[Path], size: int, colour: Colour, total: int) -> np.ndarray:
    """Decode files, of so many bytes in all, into one array (N, C, H, W)."""
    height, width, _ = pixels(files[0], size, colour).shape
    images = np.empty((len(files), 1 if colour == "grey" else 3, height, width), np.uint8)
    if images.nbytes > max(MOST, RATIO * total):
        raise UsageError(
            f"{files[0].parent}: {len(files)} images of {total:,} bytes unpack to {images.nbytes:,}; size=N resizes all"
        )
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
            part = files[start : start + 1024]
            small = pool.map(
                functools.partial(pixels_of, size=size, colour=colour, most=LARGE), part
            )
            for file, image in zip(part, small, strict=True):
                yield (
                    pixels(file, size, colour) if image is None else image
                )  # threads would keep memory of their own


def pixels(file: Path, size: int, colour: Colour) -> np.ndarray:
    """Decode a file to (H, W, C): C is 1 where it is grey or shall be, else 3."""
    image = pixels_of(file, size, colour, LARGEST)
    if image is None:
        raise UsageError(f"{file}: cannot be read as an image, it has more than {LARGEST:,} pixels")
    return image


def pixels_of(file: Path, size: int, colour: Colour, most: int) -> np.ndarray | None:
    """Decode a file to (H, W, C), or return None where it has more than so many pixels, which are not looked at."""
    from PIL import Image

    try:
        with Image.open(file, formats=FORMATS) as image:
            known = image.mode in (*GREY, *WIDE, *COLOURED)
            if image.width * image.height > most:
                return None
            array = np.asarray(resized(converted(image, colour), size)) if known else None
    except Exception as error:  # decoders of damaged images raise anything
        reason = (
            "no image of a known format"
            if isinstance(error, Image.UnidentifiedImageError)
            else error
        )
        raise UsageError(
            f"{file}: cannot be read as an image, {' '.join(str(reason).split())}"
        ) from error
    if array is None:
        raise UsageError(
            f"{file}: pixels of mode {image.mode}, expected {', '.join((*GREY, *WIDE, *COLOURED))}"
        )
    return array if array.ndim == 3 else array[..., None]


def converted(image: Image, colour: Colour) -> Image:
    """Return an image as grey or RGB, its own kind where ``colour`` is auto; what is transparent is dropped."""
    from PIL import Image as images

    if image.mode in WIDE:
        image = images.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    grey = image.mode in GREY if colour == "auto" else colour == "grey"
    wanted = "L" if grey else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def resized(image: Image, size: int) -> Image:
    """Return an image as a square of a size, 0 its own; bilinear, and smoothed where it shrinks."""
    from PIL import Image as images

    return image.resize((size, size), images.Resampling.BILINEAR) if size else image
