"""Files of predictions that were made anywhere, to arrays by name."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench_uq.api.archives import Bomb, open_npz
from bench_uq.api.errors import UsageError, unknown

#: Arrays of probabilities of classes, and of the spread of real targets; a file has one of them.
CLASSES, SPREADS = ("probs", "logits", "log_probs"), ("variance", "std")

#: Arrays that belong to each example, whatever the draw.
TARGETS = ("labels", "targets")
ARRAYS = (*CLASSES, "mean", *SPREADS, *TARGETS)

#: Columns of a CSV file, without those numbered by class, and the arrays that they become.
COLUMNS = {
    "label": "labels",
    "target": "targets",
    "prob": "probs",  # of class 1 of two
    "mean": "mean",
    "variance": "variance",
    "std": "std",
}
NUMBERED = re.compile(r"(prob|logit|log_prob)_(0|[1-9][0-9]{0,8})")

#: Columns that name the draws of an example.
INDEX = ("example", "draw")


@dataclass(frozen=True)
class Raw:
    """Arrays of a file, and the name of a row in it: (draw, row) to text."""

    path: Path
    arrays: Mapping[str, np.ndarray]
    place: Callable[[int, int], str]


def read_arrays(path: Path, content: bytes, *, labelled: bool) -> Raw:
    """Read an npz or CSV file; targets only if they count."""
    if path.suffix == ".npz":
        return npz_arrays(path, content, labelled)
    if path.suffix == ".csv":
        return csv_arrays(path, content, labelled)
    raise UsageError(f"{path}: a file of predictions ends in .npz or .csv")


def npz_arrays(path: Path, content: bytes, labelled: bool) -> Raw:
    """Read an npz file."""
    try:
        whole = zipfile.is_zipfile(io.BytesIO(content))
    except zipfile.BadZipFile:
        # One that says that it is part of an archive of several files.
        whole = False
    if not whole:
        raise UsageError(f"{path} is no npz file, or one that was cut short")

    arrays = {}
    try:
        with open_npz(content) as stored:
            for name in stored.files:
                if name not in ARRAYS:
                    raise unknown(f"array in {path}:", name, ARRAYS)
            for name in stored.files:
                if labelled or name not in TARGETS:
                    arrays[name] = np.asarray(stored[name])
    except UsageError:
        raise
    except Bomb as error:
        raise UsageError(f"{path} {error}") from error
    except Exception as error:
        # A file of any kind may be damaged anywhere, and raise anything.
        reason = " ".join(str(error).split())
        if "allow_pickle" in reason:
            reason = "objects cannot be read"
        raise UsageError(f"{path} is damaged, or no npz of plain numbers: {reason}") from error

    return Raw(path, arrays, lambda draw, row: f"row {row}" + (f" of draw {draw}" if draw else ""))


def csv_arrays(path: Path, content: bytes, labelled: bool) -> Raw:
    """Read a CSV file with a header; columns ``example`` and ``draw`` name the draws, if any."""
    columns = csv_columns(path, content)
    arrays = {}
    for column, name in COLUMNS.items():
        if column in columns and (labelled or name not in TARGETS):
            arrays[name] = numbers(path, column, columns[column])
    for prefix in ("prob", "logit", "log_prob"):
        names = numbered(path, prefix, columns)
        if names:
            values = [numbers(path, name, columns[name]) for name in names]
            arrays[f"{prefix}s"] = np.stack(values, axis=-1)

    if not any(name in columns for name in INDEX):
        return Raw(path, arrays, lambda draw, row: f"line {row + 2}")
    for name in INDEX:
        if name not in columns:
            raise UsageError(
                f"{path} has no column {name!r}: "
                "the draws of an example go by both example and draw"
            )

    rows = stacked_rows(path, *(numbers(path, name, columns[name]) for name in INDEX))
    for name, array in arrays.items():
        arrays[name] = array[rows]
        if name in TARGETS:
            arrays[name] = same_for_all(path, name, arrays[name], rows)
    return Raw(path, arrays, lambda draw, row: f"line {rows[draw, row] + 2}")


def csv_columns(path: Path, content: bytes) -> dict[str, list[Any]]:
    """Columns of a CSV file as text, empty if a line has too few fields; too many are refused."""
    import pandas as pd

    try:
        frame = pd.read_csv(
            # An editor may leave blank lines at the end.
            io.BytesIO(content.rstrip()),
            header=None,
            dtype=str,
            encoding="utf-8-sig",
            # Cells are checked as text here: "NA" or an empty cell is an error, not a missing
            # value.
            keep_default_na=False,
            # Errors name the line of the file, so every line counts.
            skip_blank_lines=False,
        )
    except ValueError as error:
        # The errors of pandas are ValueErrors.
        raise UsageError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if len(frame) < 2:
        raise UsageError(f"{path} has no line beneath its header")

    header = [str(name).strip() for name in frame.iloc[0]]
    columns = {}
    for place, name in enumerate(header):
        if name not in (*COLUMNS, *INDEX) and not NUMBERED.fullmatch(name):
            known = [*COLUMNS, *INDEX, "prob_0", "logit_0", "log_prob_0"]
            if name in ("", "Unnamed: 0"):
                raise UsageError(
                    f"{path}: column {place + 1} has no name: if pandas wrote an index, leave it "
                    "out (to_csv(..., index=False))"
                )
            if ";" in name or "\t" in name:
                raise UsageError(f"{path}: line 1 has {name!r}: separate columns by commas")
            raise unknown(f"column in {path}:", name, known)
        if name in columns:
            raise UsageError(f"{path}: line 1 has the column {name!r} twice")
        columns[name] = frame[place].iloc[1:].tolist()
    return columns


def numbered(path: Path, prefix: str, columns: Mapping[str, Any]) -> list[str]:
    """Columns of a prefix in the order of the classes; none of them may be missing."""
    found = []
    for column in columns:
        match = NUMBERED.fullmatch(column)
        if match and match[1] == prefix:
            found.append(column)

    names = [f"{prefix}_{index}" for index in range(len(found))]
    for name in names:
        if name not in columns:
            raise UsageError(f"{path}: line 1 has no column {name!r} beside {found[0]!r}")
    return names


def numbers(path: Path, name: str, texts: list[str]) -> np.ndarray:
    """Convert a column to numbers; labels, examples and draws are whole ones."""
    whole, kind, dtype = False, "number", "float64"
    if name in (*INDEX, "label"):
        whole, kind, dtype = True, "whole number", "int64"

    values: list[float] = []
    for row, text in enumerate(texts):
        try:
            value = int(text) if whole else float(text)
            # Larger ones may not fit int64, which would raise without naming the line.
            if whole and abs(value) >= 2**62:
                raise ValueError(text)
        except ValueError:
            raise UsageError(
                f"{path}: line {row + 2}, column {name}: {text!r} is no {kind}"
            ) from None
        values.append(value)
    return np.array(values, dtype=dtype)


def stacked_rows(path: Path, examples: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Rows of each draw of each example, (S, N); every pair must be there once."""
    names, example = np.unique(examples, return_inverse=True)
    kinds, draw = np.unique(draws, return_inverse=True)
    places = draw * len(names) + example
    # Stable, so that the second of two equal rows is the later line.
    order = np.argsort(places, kind="stable")
    sorted_places = places[order]

    twice = np.flatnonzero(sorted_places[1:] == sorted_places[:-1])
    if len(twice):
        row = int(order[twice[0] + 1])
        raise UsageError(
            f"{path}: line {row + 2} has example {examples[row]}, draw {draws[row]} a second time"
        )

    if len(places) != len(names) * len(kinds):
        gaps = np.flatnonzero(sorted_places != np.arange(len(places)))
        missing = int(gaps[0]) if len(gaps) else len(places)
        at, which = divmod(missing, len(names))
        raise UsageError(
            f"{path} has no draw {kinds[at]} of example {names[which]}: "
            "every example needs the same draws"
        )
    return order.reshape(len(kinds), len(names))


def same_for_all(path: Path, name: str, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Targets (N,) of draws (S, N), which must agree on them."""
    # NaN differs from itself; values that are missing are refused later, in their own words.
    both_missing = np.isnan(values) & np.isnan(values[:1])
    other = np.argwhere((values != values[:1]) & ~both_missing)
    if len(other):
        draw, row = other[0]
        before = rows[0, row] + 2
        raise UsageError(
            f"{path}: line {rows[draw, row] + 2} has other {name} than line {before} "
            "of the same example"
        )
    return values[0]
