"""Files of predictions that were made anywhere -> arrays by name, and what each row of them is called."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench_uq.api.archives import open_npz
from bench_uq.api.errors import UsageError, unknown

#: What holds the probabilities of classes, and what the spread of real targets; a file has one of them.
CLASSES, SPREADS = ("probs", "logits", "log_probs"), ("variance", "std")
#: What belongs to each example, whatever the draw.
TARGETS = ("labels", "targets")
ARRAYS = (*CLASSES, "mean", *SPREADS, *TARGETS)

#: The columns of a CSV file beside those that are numbered by class, and the arrays that they become.
COLUMNS = {
    "label": "labels",
    "target": "targets",
    "mean": "mean",
    "variance": "variance",
    "std": "std",
}
NUMBERED = re.compile(r"(prob|logit|log_prob)_(0|[1-9][0-9]{0,8})")
#: The columns that tell the draws of an example apart.
INDEX = ("example", "draw")


@dataclass(frozen=True)
class Raw:
    """The arrays of a file as they stand there, and what it calls a row: (draw, row) -> text."""

    arrays: Mapping[str, np.ndarray]
    place: Callable[[int, int], str]


def read_arrays(path: Path, content: bytes, *, labelled: bool) -> Raw:
    """Return the arrays of an npz or CSV file; those of targets only where they count."""
    if path.suffix not in (".npz", ".csv"):
        raise UsageError(f"{path}: a file of predictions ends in .npz or .csv")
    return (npz_arrays if path.suffix == ".npz" else csv_arrays)(path, content, labelled)


def npz_arrays(path: Path, content: bytes, labelled: bool) -> Raw:
    """Return the arrays of an npz file."""
    try:
        whole = zipfile.is_zipfile(io.BytesIO(content))
    except zipfile.BadZipFile:  # one that says that it is one of several
        whole = False
    if not whole:
        raise UsageError(f"{path} is no npz file, or one that was cut short")
    try:
        with open_npz(content) as stored:
            for name in stored.files:
                if name not in ARRAYS:
                    raise unknown(f"array in {path}:", name, ARRAYS)
            arrays = {
                name: np.asarray(stored[name])
                for name in stored.files
                if labelled or name not in TARGETS
            }
    except UsageError:
        raise
    except Exception as error:  # a file of any kind, damaged anywhere
        reason = (
            "objects cannot be read"
            if "allow_pickle" in str(error)
            else " ".join(str(error).split())
        )
        raise UsageError(f"{path} is damaged, or no npz of plain numbers: {reason}") from error
    return Raw(arrays, lambda draw, row: f"row {row}" + (f" of draw {draw}" if draw else ""))


def csv_arrays(path: Path, content: bytes, labelled: bool) -> Raw:
    """Return the arrays of a CSV file with a header, draws by its columns ``example`` and ``draw``."""
    columns = csv_columns(path, content)
    if not labelled:
        columns = {
            name: texts for name, texts in columns.items() if COLUMNS.get(name) not in TARGETS
        }
    arrays = {
        COLUMNS[name]: numbers(path, name, columns[name]) for name in COLUMNS if name in columns
    }
    for prefix in ("prob", "logit", "log_prob"):
        if names := numbered(path, prefix, columns):
            arrays[f"{prefix}s"] = np.stack(
                [numbers(path, name, columns[name]) for name in names], axis=-1
            )
    if not any(name in columns for name in INDEX):
        return Raw(arrays, lambda draw, row: f"line {row + 2}")
    for name in INDEX:
        if name not in columns:
            raise UsageError(
                f"{path} has no column {name!r}: the draws of an example go by both example and draw"
            )
    rows = stacked_rows(path, *(numbers(path, name, columns[name]) for name in INDEX))
    stacked = {name: array[rows] for name, array in arrays.items()}
    for name in set(TARGETS) & set(stacked):
        stacked[name] = same_for_all(path, name, stacked[name], rows)
    return Raw(stacked, lambda draw, row: f"line {rows[draw, row] + 2}")


def csv_columns(path: Path, content: bytes) -> dict[str, list[Any]]:
    """Return the columns of a CSV file as text, empty where a line has too few fields; too many are refused."""
    import pandas as pd

    try:
        options: dict[str, Any] = {"header": None, "dtype": str, "encoding": "utf-8-sig"}
        frame = pd.read_csv(
            io.BytesIO(content), **options, keep_default_na=False, skip_blank_lines=False
        )
    except ValueError as error:  # pandas' own errors are ValueErrors
        raise UsageError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if len(frame) < 2:
        raise UsageError(f"{path} has no line beneath its header")
    header = [str(name).strip() for name in frame.iloc[0]]
    for place, name in enumerate(header):
        if name not in (*COLUMNS, *INDEX) and not NUMBERED.fullmatch(name):
            raise unknown(
                f"column in {path}:", name, [*COLUMNS, *INDEX, "prob_0", "logit_0", "log_prob_0"]
            )
        if name in header[:place]:
            raise UsageError(f"{path}: line 1 has the column {name!r} twice")
    return {name: frame[place].iloc[1:].tolist() for place, name in enumerate(header)}


def numbered(path: Path, prefix: str, columns: Mapping[str, Any]) -> list[str]:
    """Return the columns of a prefix in the order of the classes, none of them missing."""
    found = [match for match in map(NUMBERED.fullmatch, columns) if match and match[1] == prefix]
    names = [f"{prefix}_{index}" for index in range(len(found))]
    for name in names:
        if name not in columns:
            raise UsageError(f"{path}: line 1 has no column {name!r} beside {found[0][0]!r}")
    return names


def numbers(path: Path, name: str, texts: list[str]) -> np.ndarray:
    """Return a column as numbers, whole ones of labels, examples and draws."""
    whole = name in (*INDEX, "label")
    values = []
    for row, text in enumerate(texts):
        try:
            values.append(int(text) if whole else float(text))
            if whole and abs(values[-1]) >= 2**62:
                raise ValueError(text)
        except ValueError:
            kind = "whole number" if whole else "number"
            raise UsageError(
                f"{path}: line {row + 2}, column {name}: {text!r} is no {kind}"
            ) from None
    return np.array(values, dtype=np.int64 if whole else np.float64)


def stacked_rows(path: Path, examples: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return which row holds each draw of each example, (S, N); every pair stands there once."""
    names, example = np.unique(examples, return_inverse=True)
    kinds, draw = np.unique(draws, return_inverse=True)
    places = draw * len(names) + example
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
            f"{path} has no draw {kinds[at]} of example {names[which]}: every example needs the same draws"
        )
    return order.reshape(len(kinds), len(names))


def same_for_all(path: Path, name: str, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the targets (N,) of draws (S, N) that agree on them."""
    other = np.argwhere((values != values[:1]) & ~(np.isnan(values) & np.isnan(values[:1])))
    if len(other):
        draw, row = other[0]
        before = rows[0, row] + 2
        raise UsageError(
            f"{path}: line {rows[draw, row] + 2} has other {name} than line {before} of the same example"
        )
    return values[0]
