"""Read image files into arrays; an unreadable one, or one of another size, is named."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from bench_uq.api import UsageError, room
from bench_uq.datasets._files import stamp

if TYPE_CHECKING:
    from PIL.Image import Image

Colour = Literal["auto", "grey", "rgb"]
# Files with their sizes and times of change.
Stamps = tuple[tuple[Path, int, int], ...]

GREY = ("1", "L", "LA")
# Grey of 16 bits, of which the upper 8 are kept; of PNG and PPM also as "I".
WIDE = ("I;16", "I;16L", "I;16B", "I")
COLOURED = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
MODES = (*GREY, *WIDE, *COLOURED)
# Recognised by content, not by name. One of Pillow's other formats runs a program to read a file.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# Pixels of an image, more than cameras take.
LARGEST = 1 << 26
# Larger images are decoded one after the other, so that a few of them do not fill the memory.
LARGE = 1 << 22
# More than cores: most of the time of a first reading is spent waiting for the disk.
THREADS = 8
# Reasons to leave out a file or folder.
FOREIGN, TWICE = "hidden or of other programs", "links to a folder that is read already"
UNNAMED = "without the name of an image"
OTHERS = ("@eadir", "@recycle", "#recycle", "$recycle.bin", "lost+found", "thumbs.db",
          "desktop.ini", "system volume information")  # fmt: skip


def image_files(folder: Path) -> list[Path]:
    """List the images in a folder and below it, sorted; an empty list where it does not exist."""
    return scanned(folder)[0]


def scanned(folder: Path) -> tuple[list[Path], list[tuple[str, str]]]:
    """List the images as ``image_files`` does, and why each other file or folder is left out."""
    from torchvision.datasets.folder import IMG_EXTENSIONS

    # Of an animation the first image is read, which a viewer shows first.
    named = (*IMG_EXTENSIONS, ".gif")
    images, left_out = list[Path](), list[tuple[str, str]]()
    # A link may lead to a folder around it, or to one that is beside it: each is read once.
    seen = {os.path.realpath(folder)}
    for place, folders, files in os.walk(folder, followlinks=True):
        inside = sorted(folders, key=lambda name: (os.path.islink(os.path.join(place, name)), name))
        folders.clear()
        for name in inside:
            real = os.path.realpath(os.path.join(place, name))
            if foreign(name):
                left_out.append((FOREIGN, name))
            elif real in seen:
                left_out.append((TWICE, name))
            else:
                folders.append(name)
                seen.add(real)

        for name in files:
            path = Path(place, name)
            if foreign(name):
                left_out.append((FOREIGN, name))
            elif not present(path).suffix.lower().endswith(named):
                left_out.append((UNNAMED, path.suffix or name))
            else:
                images.append(path)
    return sorted(images, key=lambda path: (str(path.parent), path.name)), left_out


def foreign(name: str) -> bool:
    """Whether a file or folder is hidden, or one that other programs make: previews, bins."""
    return name.startswith((".", "__")) or name.lower() in OTHERS


def present(path: Path) -> Path:
    """Refuse a link whose target is not there: the data would be other data without it."""
    if path.is_symlink() and not path.exists():
        raise UsageError(f"{path}: a link to {path.readlink()}, which is not there")
    return path


def mixed(classes: Iterable[Sequence[Path]]) -> list[tuple[int, Path]]:
    """Label the images of all classes, and mix the classes evenly."""
    # Conditions may be limited to the first so many test examples. Mixed, these have all classes
    # in proportion.
    places = []
    for label, files in enumerate(classes):
        for place, file in enumerate(files):
            places.append(((place + 0.5) / len(files), label, file))
    return [(label, file) for _, label, file in sorted(places)]


def read_classes(
    classes: Iterable[Sequence[Path]], *, size: int = 0, colour: Colour = "auto"
) -> tuple[np.ndarray, np.ndarray]:
    """Read the images (N, C, H, W) of all classes, mixed evenly, and their labels (N,).

    Size 0 keeps their sizes, which must be equal; other sizes make squares of them. Colour auto is
    grey where all of them are. A file is decoded once while it is unchanged.
    """
    labels, files = zip(*mixed(classes), strict=True)
    images = decoded(tuple(map(stamp, files)), size, colour)
    # A copy for the caller to keep and to change.
    return images.copy(), np.array(labels, np.int64)


# Many more than in `decoded`: a shape is small, and asked for at every plan.
@functools.lru_cache(maxsize=64)
def images_shape(stamps: Stamps, size: int, colour: Colour) -> tuple[int, int, int]:
    """Shape (C, H, W) of some images."""
    _, channels, height, width = decoded(stamps, size, colour).shape
    return channels, height, width


# A training split, a test split and OOD data: a plan goes over them seed by seed.
@functools.lru_cache(maxsize=4)
def decoded(stamps: Stamps, size: int, colour: Colour) -> np.ndarray:
    """Decode files into one array (N, C, H, W)."""
    from PIL import Image

    files = [path for path, _, _ in stamps]
    total = sum(count for _, count, _ in stamps)
    with warnings.catch_warnings():
        # Pillow warns from 89 million pixels on, and refuses twice as many.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return decoded_all(files, size, colour, total)


def decoded_all(files: Sequence[Path], size: int, colour: Colour, total: int) -> np.ndarray:
    """Decode files of ``total`` bytes into one array (N, C, H, W)."""
    height, width, _ = pixels(files[0], size, colour).shape
    images = np.empty((len(files), 1 if colour == "grey" else 3, height, width), np.uint8)
    if images.nbytes > room(total):
        found = f"{len(files)} images of {total:,} bytes unpack to {images.nbytes:,}"
        raise UsageError(f"{files[0].parent}: {found}; size=N resizes all")

    coloured = colour == "rgb"
    for row, image in enumerate(decode(files, size, colour)):
        if image.shape[:2] != (height, width):
            found = f"{image.shape[1]}x{image.shape[0]} pixels"
            expected = f"where {files[0]} has {width}x{height}"
            raise UsageError(f"{files[row]}: {found} {expected}; size=N resizes all to NxN")
        images[row] = image.transpose(2, 0, 1)
        coloured = coloured or image.shape[2] == 3
    return images if coloured else images[:, :1].copy()


def decode(files: Sequence[Path], size: int, colour: Colour) -> Iterator[np.ndarray]:
    """Decode files in their order."""
    decode_small = functools.partial(pixels_of, size=size, colour=colour, most=LARGE)
    with ThreadPoolExecutor(THREADS) as pool:
        # In parts, so that an unreadable file ends the work early.
        for start in range(0, len(files), 1024):
            part = files[start : start + 1024]
            for file, image in zip(part, pool.map(decode_small, part), strict=True):
                # Not in a thread, which would keep the memory of a large image.
                yield pixels(file, size, colour) if image is None else image


def pixels(file: Path, size: int, colour: Colour) -> np.ndarray:
    """Decode a file to (H, W, C): C is 1 for grey and 3 for colour."""
    image = pixels_of(file, size, colour, LARGEST)
    if image is None:
        raise UsageError(f"{file}: cannot be read as an image, it has more than {LARGEST:,} pixels")
    return image


def pixels_of(file: Path, size: int, colour: Colour, most: int) -> np.ndarray | None:
    """Decode a file to (H, W, C), or give None if it has more than ``most`` pixels."""
    from PIL import Image

    array = None
    try:
        with Image.open(file, formats=FORMATS) as image:
            # The header says it before any pixel is decoded.
            if image.width * image.height > most:
                return None
            # Whole numbers of 32 bits are of no known scale.
            if image.mode in MODES and (image.mode != "I" or image.format in ("PNG", "PPM")):
                array = np.asarray(converted(image, colour, size))
    except Image.UnidentifiedImageError as error:
        raise unreadable(file, "not an image of a known format") from error
    except Exception as error:
        # Decoders of damaged images raise anything.
        raise unreadable(file, str(error)) from error
    if array is None:
        raise UsageError(f"{file}: pixels of mode {image.mode}, expected {', '.join(MODES)}")
    return array if array.ndim == 3 else array[..., None]


def unreadable(file: Path, reason: str) -> UsageError:
    """The error for a file that cannot be decoded, in one line."""
    return UsageError(f"{file}: cannot be read as an image, {' '.join(reason.split())}")


def converted(image: Image, colour: Colour, size: int) -> Image:
    """Convert an image to grey or RGB, as a viewer shows it, and resize it to a square.

    Colour auto decides by the kind of the image, and size 0 keeps its size.
    """
    from PIL import Image as images
    from PIL import ImageOps

    # Such a PNG begins with an image that is shown only where animations are not.
    if image.info.get("default_image"):
        image.seek(1)
    # In place, because it would copy an image that it does not turn.
    ImageOps.exif_transpose(image, in_place=True)
    grey = image.mode in (*GREY, *WIDE) if colour == "auto" else colour == "grey"

    if image.mode in WIDE:
        # Pillow's own conversion clips 16 bits at 255, which leaves white.
        levels, hidden = np.asarray(image), image.info.get("transparency")
        image = images.fromarray((levels >> 8).astype(np.uint8))
        # Of such a PNG one level is transparent, all 16 bits of it.
        if isinstance(hidden, int):
            image.putalpha(images.fromarray(np.where(levels == hidden, 0, 255).astype(np.uint8)))
    if image.has_transparency_data:
        # The colours of transparent pixels are mostly black, whatever the picture is.
        shown = images.new("RGBA", image.size, "white")
        shown.alpha_composite(image.convert("RGBA"))
        image = shown
    wanted = "L" if grey else "RGB"
    if image.mode != wanted:
        image = image.convert(wanted)
    # Bilinear, and smoothed where it shrinks: every pixel of a large image counts.
    return image.resize((size, size), images.Resampling.BILINEAR) if size else image
