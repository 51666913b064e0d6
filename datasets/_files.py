"""Files of datasets: finding them, checking that they are the originals, reading them."""

import gzip
import unicodedata
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from bench_uq.api import Bomb, MissingData, UsageError, gunzip

FORMS: tuple[Literal["NFC"], Literal["NFD"]] = ("NFC", "NFD")


def located(dataset: str, path: Path, root: Path, *, unset: Path) -> Path:
    """Find the path that a user named, below the root of the data or in the working folder."""
    if path == unset:
        raise UsageError(f"{dataset} has no data of its own: say which, {dataset}[path={unset}]")

    # Of an absolute path both are the same.
    places = list(dict.fromkeys((root / path, path)))
    for place in places:
        # What was copied from another system may spell an accent in two signs.
        for form in (str(place), *(unicodedata.normalize(kind, str(place)) for kind in FORMS)):
            if Path(form).exists():
                return Path(form)
    raise MissingData(f"{dataset}[path={path}]", places)


def stamp(path: Path) -> tuple[Path, int, int]:
    """A file with its size and time of change, which reveal a change without reading it."""
    stat = path.stat()
    return path, stat.st_size, stat.st_mtime_ns


def torchvision_class(name: str) -> Any:
    """One of torchvision's datasets, which knows names, addresses and hashes of the originals."""
    # It takes a second to import, and most datasets do without it.
    import torchvision

    return getattr(torchvision.datasets, name)


def check_originals(dataset: str, files: Mapping[Path, str]) -> None:
    """Require all files, each with the md5 of the original, before anything opens one of them."""
    from torchvision.datasets.utils import check_integrity

    missing = [path for path in files if not path.is_file()]
    if missing:
        raise MissingData(dataset, missing)

    for path, md5 in files.items():
        # Scores on other data than the published ones could not be compared.
        if not check_integrity(path, md5):
            raise UsageError(f"{path}: damaged (its md5 is not that of the original)")


def read_content(path: Path, share: int = 2) -> bytes:
    """Read a file, decompressed if it ends in .gz; ``share`` is that of ``gunzip``."""
    try:
        content = path.read_bytes()
        return gunzip(content, share) if path.suffix == ".gz" else content
    except Bomb as error:
        raise UsageError(f"{path}: {error}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UsageError(f"{path}: corrupt gzip, {error}") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read, {error.strerror}") from error
