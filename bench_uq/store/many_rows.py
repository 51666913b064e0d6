"""CSV files of millions of rows, read block by block into columns of a few bytes a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import numpy as np
import pandas as pd

#: Rows that are read, or looked at, at a time.
BLOCK = 100_000


class Names:
    """A column of few different texts, as their numbers in the order in which they first came."""

    def __init__(self, rows: int) -> None:
        self.known: dict[str, int] = {}
        self.codes = np.empty(rows, np.int16)

    def put(self, place: slice, values: pd.Series) -> None:
        """Take in the texts of a block."""
        codes, texts = pd.factorize(values)
        found = [self.known.setdefault(text, len(self.known)) for text in texts]
        if len(self.known) > np.iinfo(self.codes.dtype).max:
            self.codes = self.codes.astype(np.int32)
        self.codes[place] = np.array(found, self.codes.dtype)[codes]

    def column(self) -> pd.Series:
        """Return the column as categories, in their order."""
        order = sorted(self.known)
        places = {text: place for place, text in enumerate(order)}
        sorted_codes = np.array([places[text] for text in self.known], self.codes.dtype)[self.codes]
        return pd.Series(
            pd.Categorical.from_codes(sorted_codes, pd.Index(order, dtype="str")), copy=False
        )


class Numbers:
    """A column of numbers, each converted as Python does: conversions of pandas' own may miss the last digit."""

    def __init__(self, rows: int, convert: Callable[[str], float], *, few: bool) -> None:
        self.convert, self.few = convert, few
        self.values = np.empty(rows, "int64" if convert is int else "float64")

    def put(self, place: slice, values: pd.Series) -> None:
        """Take in the numbers of a block, each once where few are different."""
        codes, texts = pd.factorize(values) if self.few else (slice(None), values)
        self.values[place] = np.array([self.convert(text) for text in texts], self.values.dtype)[
            codes
        ]

    def column(self) -> pd.Series:
        """Return the column as it stands."""
        return pd.Series(self.values, copy=False)


def read(file: IO[bytes], columns: Sequence[str], rows: int, names: set[str]) -> pd.DataFrame:
    """Return columns of a CSV file of so many rows: ``names`` as categories, ``seed`` as integers, others as floats.

    A float is NaN where nothing is written.
    """
    found: dict[str, Names | Numbers] = {}
    for column in columns:
        if column in names:
            found[column] = Names(rows)
        elif column == "seed":
            found[column] = Numbers(rows, int, few=True)
        else:
            found[column] = Numbers(
                rows, lambda text: float(text or "nan"), few=column not in ("value", "y")
            )
    options: Any = {
        "usecols": list(columns),
        "dtype": "str",
        "keep_default_na": False,
        "na_filter": False,
    }
    done = 0
    for block in pd.read_csv(file, chunksize=BLOCK, **options):
        for column, one in found.items():
            one.put(slice(done, done + len(block)), block[column])
        done += len(block)
    if done != rows:
        raise ValueError(f"{done} of {rows} rows can be read")
    return pd.DataFrame({column: one.column() for column, one in found.items()}, copy=False)


def starts(frame: pd.DataFrame, keys: Sequence[str]) -> np.ndarray:
    """Return the places of the rows whose keys are not those of the row before."""
    changed = np.zeros(len(frame), bool)
    changed[:1] = True
    for key in keys:
        values = _comparable(frame[key])
        before, after = values[:-1], values[1:]
        changed[1:] |= (before != after) & (
            (before == before) | (after == after)
        )  # NaN is equal to NaN here
    return np.flatnonzero(changed)


def repeated(frame: pd.DataFrame, keys: Sequence[str], group: Sequence[str]) -> pd.DataFrame:
    """Return rows whose keys stood before; rows of one ``group``, some of the keys, mostly stand together."""
    first = starts(frame, group)
    if (
        len(frame) <= BLOCK or frame.iloc[first].duplicated(group).any()
    ):  # then any row may repeat any other
        return frame[frame.duplicated(keys)]
    cuts = first[
        np.unique(np.searchsorted(first, np.arange(0, len(frame), BLOCK)).clip(max=len(first) - 1))
    ]
    parts = [frame.iloc[slice(*ends)] for ends in zip(cuts, [*cuts[1:], None], strict=True)]
    return pd.concat([part[part.duplicated(keys)] for part in parts])


def of(frame: pd.DataFrame, key: str, value: str) -> pd.DataFrame:
    """Return the rows of one value, without copying them where they stand together."""
    rows = np.flatnonzero(frame[key] == value)
    together = len(rows) > 0 and rows[-1] - rows[0] == len(rows) - 1
    return frame.iloc[rows[0] : rows[-1] + 1] if together else frame.iloc[rows]


def _comparable(values: pd.Series) -> np.ndarray:
    """Return what tells values apart, the numbers of categories where there are any."""
    return (
        values.cat.codes.to_numpy()
        if isinstance(values.dtype, pd.CategoricalDtype)
        else values.to_numpy()
    )


def distinct(frame: pd.DataFrame, keys: Sequence[str]) -> Iterator[tuple[tuple[Any, ...], slice]]:
    """Yield keys and rows of each part of neighbours that have the same."""
    first = starts(frame, keys)
    ends = [*first[1:].tolist(), len(frame)][: len(first)]  # of no rows there are no parts
    named = frame[list(keys)].iloc[first].itertuples(index=False, name=None)
    for key, start, end in zip(named, first.tolist(), ends, strict=True):
        yield key, slice(start, end)
