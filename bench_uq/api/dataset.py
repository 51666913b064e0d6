"""The contract of a dataset."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench_uq.api.task import Examples, Task


@dataclass(frozen=True)
class Download:
    """A file that ``bench-uq prepare`` can fetch; no other command fetches anything."""

    path: str  # below the root of the data
    urls: tuple[str, ...]  # tried in this order
    md5: str = ""  # of the file as it is fetched
    sha256: str = ""  # of its content: for a .gz file, of the unpacked content
    unpack: bool = False  # a tar archive, which is kept beside its unpacked members
    installed: str = ""  # where the package of a distribution puts it: copied, not fetched


@dataclass(frozen=True)
class Dataset(ABC):
    """Examples to train and test on; the options are the fields of the subclass."""

    reference: ClassVar[str]
    title: ClassVar[str] = ""  # in figures and tables; empty: its name. It changes no key

    #: Out-of-distribution data may have "test" alone.
    splits: ClassVar[tuple[str, ...]] = ("train", "test")

    #: Plain names of the datasets whose test examples these are, changed but in their order.
    #: Networks of those datasets are shown these examples with their labels. To networks of any
    #: other dataset they are out-of-distribution data.
    shift_of: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for options without meaning; by default none are refused."""

    @abstractmethod
    def task(self, root: Path) -> Task:
        """The task; it may depend on the files under ``root``."""

    @abstractmethod
    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Load one of ``splits``; raise MissingData if files are missing.

        ``fold`` is the run's seed, for datasets without a fixed test split.
        """

    def files(self, root: Path) -> Sequence[Path] | None:
        """All files that the examples come from; an empty list if they come from packages alone.

        The examples then count as unchanged while no file and no package changes. If the list is
        None, the default, the examples are loaded each time to see.
        """
        del root
        return None

    def downloads(self) -> Sequence[Download]:
        """Files that ``bench-uq prepare`` can fetch; by default none: the user provides them."""
        return ()
