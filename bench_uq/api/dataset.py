"""The contract of a dataset."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    pass
from bench_uq.api.task import Examples, Task


@dataclass(frozen=True)
class Download:
    """A file that ``bench-uq prepare`` can fetch; nothing else ever fetches one."""

    path: str  # where it belongs, below the root of the data
    urls: tuple[str, ...]  # tried in this order
    md5: str = ""  # of the file as it is fetched
    sha256: str = ""  # of what it holds: of a .gz file, of its content
    unpack: bool = False  # a tar archive: its members are laid out beside it, and it is kept


@dataclass(frozen=True)
class Dataset(ABC):
    """Examples to train and test on; the options are the fields of the subclass."""

    reference: ClassVar[str]
    splits: ClassVar[tuple[str, ...]] = ("train", "test")  # unseen data may have "test" alone
    #: Datasets, by plain name, whose test examples these are, changed, in their order: shown with these labels. Shown
    #: to networks of any other dataset they are unseen.
    shift_of: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """Check the options: a subclass raises ValueError for those without meaning."""

    @abstractmethod
    def task(self, root: Path) -> Task:
        """Return the task, from the files under ``root`` where it depends on them."""

    @abstractmethod
    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Return one of ``splits``; files that are missing raise MissingData.

        ``fold`` is the run's seed, for datasets without a fixed test split.
        """

    def files(self, root: Path) -> Sequence[Path] | None:
        """Return all files that the examples come from, none where they come from installed packages alone.

        Examples are then taken as known while no file and no package changed; None, the default, loads them each time.
        """
        del root
        return None

    def downloads(self) -> Sequence[Download]:
        """Return what ``bench-uq prepare`` can fetch, by default nothing: the user puts the files there."""
        return ()
