"""What the tests of datasets share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from bench_uq.api import Dataset, Examples, MissingData


@pytest.fixture
def load(data_folder: Path, absent: Callable[[str], NoReturn]) -> Callable[..., Examples]:
    """Return ``Dataset.load`` on real data, which skips the test where they are missing."""

    def load_split(dataset: Dataset, split: str, fold: int = 0) -> Examples:
        try:
            return dataset.load(split, data_folder, fold)
        except MissingData as missing:
            absent(str(missing))

    return load_split
