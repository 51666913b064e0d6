"""Files that torchvision's loaders read, each checked against the md5 of the original before anything opens it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench_uq.api import MissingData, UsageError


def check_originals(dataset: str, files: Mapping[Path, str]) -> None:
    """Refuse to go on without all of the files, each with its md5: some are pickles, which can run code."""
    from torchvision.datasets.utils import check_integrity

    missing = [path for path in files if not path.is_file()]
    if missing:
        raise MissingData(dataset, missing)
    for path, md5 in files.items():
        if not check_integrity(path, md5):
            raise UsageError(f"{path}: damaged (its md5 is not that of the original)")
